"""What delete and prune promise: a part of the contract of every target."""

from __future__ import annotations

from deployer.conformance.looks import done, serves
from deployer.conformance.place import Place
from deployer.core.plan import Effect
from deployer.core.state import DeploymentName
from deployer.verbs import lifecycle


class Removal:
    """Part of `TargetContract`, which has the fixtures."""

    def test_delete_leaves_nothing(self, place: Place, serving: DeploymentName) -> None:
        done(place.run(place.command("update", serving, place.second.model)))
        assert done(place.run(place.command("delete", serving))).changed
        assert not place.everything_of_ours(serving)
        assert place.observe(serving) is None

    def test_delete_of_what_is_not_there_is_done(self, place: Place, name: DeploymentName) -> None:
        assert not done(place.run(place.command("delete", name))).changed

    def test_prune_removes_what_is_kept_for_a_way_back(self, place: Place, serving: DeploymentName) -> None:
        shape = place.shape(serving)
        done(place.run(place.command("update", serving, place.second.model)))
        assert place.shape(serving) != shape
        done(place.run(place.command("prune", serving, None, keep=0)))
        assert place.shape(serving) == shape
        serves(place, serving, place.second)

    def test_prune_leaves_the_way_back_and_has_nothing_to_do_then(self, place: Place, serving: DeploymentName) -> None:
        done(place.run(place.command("update", serving, place.second.model)))
        before = place.everything_of_ours(serving)
        assert not done(place.run(place.command("prune", serving, None, keep=1))).changed
        assert place.everything_of_ours(serving) == before
        assert done(place.run(place.command("prune", serving, None, keep=0))).changed
        assert not done(place.run(place.command("prune", serving, None, keep=0))).changed
        serves(place, serving, place.second)

    def test_a_prune_that_fails_is_an_error(self, place: Place, serving: DeploymentName) -> None:
        done(place.run(place.command("update", serving, place.second.model)))
        config = place.target.config.parse({**place.options, "keep": 0}, target=place.target.scheme)
        plan = lifecycle.prospect_prune(place.target, place.connect(), serving, config)
        assert plan.forward
        assert not plan.sweep  # whose failures are warnings
        assert {step.effect for step in plan.forward} == {Effect.DELETE}

    def test_prune_takes_leftovers_and_nothing_while_nothing_serves(self, place: Place, name: DeploymentName) -> None:
        assert place.run(place.command("prune", name)).code == "deployment-not-found"
        create = place.command("create", name, place.first.model)
        assert place.killed(create, 2) is None
        before = place.everything_of_ours(name)
        assert before
        assert not done(place.run(place.command("prune", name, None, keep=0))).changed
        assert place.everything_of_ours(name) == before
        done(place.run(create))
        shape = place.shape(name)
        assert place.killed(place.command("update", name, place.second.model), 2) is None
        assert place.shape(name) != shape
        assert done(place.run(place.command("prune", name, None, keep=0))).changed
        assert place.shape(name) == shape
        serves(place, name, place.first)
