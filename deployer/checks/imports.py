"""Whether what a model imports will be there: in its code folder, in the standard library, or in the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from packaging.utils import canonicalize_name

from deployer.checks import knowledge
from deployer.checks.finding import Finding, Severity, error, warning
from deployer.checks.sources import SourceFile
from deployer.checks.surroundings import Surroundings
from deployer_scoring.loaders.loading import needs_no_mlflow
from deployer_scoring.opcodes.facts import Global
from deployer_scoring.python_model import MLFLOW_NAMES


@dataclass(frozen=True)
class Modules:
    """What can be imported.

    Attributes:
        code: the model's own Python files, by their path below its code folder ("shifting/arithmetic.py").
        folder: the code folder's name, for messages; "" where the model has none.
        others: what else lies in the code folder by path, extension modules say.
        elsewhere: the model's files outside its code folder.
    """

    surroundings: Surroundings
    code: Mapping[str, SourceFile] = field(default_factory=dict)
    folder: str = ""
    others: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()

    def find_fault(self, file: str, wanted: Global, how: str = "imports") -> Iterator[Finding]:
        """What is wrong with importing this name (or, without one, module), where anything is."""
        top = wanted.module.partition(".")[0]
        if top == "__main__":
            yield error(
                "main-module",
                file,
                f"{wanted} was defined in the script that saved the model, which isn't there when it is loaded",
                "move it to a module in the code folder (code_paths=), or save it by value with cloudpickle",
            )
        elif top in self.own:
            yield from self._in_code(file, wanted)
        elif top == "mlflow" and ((wanted.module, wanted.name) in MLFLOW_NAMES or (not wanted.name and needs_no_mlflow(wanted.module))):
            return  # the scoring runtime has its own
        elif not knowledge.standard(top, self.surroundings.python) and not self._is_there(top):
            yield self._missing(file, wanted.module, how)

    def shadows(self) -> Iterator[Finding]:
        """Modules of the code folder that hide installed ones: the folder stands first on the path."""
        for top in sorted(self.own):
            hidden = knowledge.standard(top, self.surroundings.python)
            if hidden or (knowledge.well_known(top) and self._is_there(top)):
                yield warning(
                    "shadowed-module",
                    f"{self.folder}/{top}",
                    f"it hides {'the standard library' if hidden else 'the installed package'}'s {top} from everything that imports it",
                    "rename it, and save the model again",
                )

    @cached_property
    def own(self) -> frozenset[str]:
        """The top-level modules of the code folder."""
        tops = {path.partition("/")[0] for path in (*self.code, *self.others)}
        folders = {path.partition("/")[0] for path in self.code if "/" in path}
        files = {top.partition(".")[0] for top in tops if top.endswith((".py", ".so", ".pyd"))}
        return frozenset(folders | files)

    @cached_property
    def _known(self) -> frozenset[str]:
        there = frozenset(self.surroundings.packages) | knowledge.ALWAYS_THERE
        return there if self.surroundings.complete else knowledge.brought_by(there)

    def _is_there(self, top: str) -> bool:
        if any(canonicalize_name(each) in self._known for each in knowledge.distributions_of(top)):
            return True
        # A module seldom has a name that its distribution doesn't hint at: my_company in my-company-models.
        plain = top.lower().strip("_").replace("_", "-")
        return not knowledge.well_known(top) and any(plain in each or each in plain.split("-") for each in self.surroundings.packages)

    def _missing(self, file: str, module: str, how: str) -> Finding:
        top = module.partition(".")[0]
        certain = self.surroundings.complete and knowledge.well_known(top)
        distribution = knowledge.distributions_of(top)[0]
        there = "lacks it" if certain else "is not known to have it"
        if knowledge.standard(top, ""):
            return error("missing-module", file, f"it {how} {module}, which Python {self.surroundings.python} no longer has", "save the model anew")
        if local := self._local(top):
            what, advice = local
            return warning("missing-module", file, f"it {how} {module}, which is {what}", advice)
        return Finding(
            Severity.ERROR if certain else Severity.WARNING,
            "missing-module",
            file,
            f"it {how} {module}, and {self.surroundings.name} {there}"
            if certain
            else f"it {how} {module}, which nothing in {self.surroundings.name} is known to bring",
            f"add {distribution} to the model's requirements"
            if knowledge.well_known(top)
            else f"if it is a module of your project, save the model again with code_paths=; if a package, add {distribution} to the requirements",
        )

    def _local(self, top: str) -> tuple[str, str] | None:
        """What a module is that no package brings, as far as the model's own files or its name tell, and what to do about it."""
        if knowledge.well_known(top):
            return None
        ends = (f"/{top}.py", f"/{top}/__init__.py")
        for path in sorted(self.code):
            if f"/{path}".endswith(ends):
                place = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
                advice = f"import it as {place}, or save the model again with its folder's files in code_paths="
                return f"{self.folder}/{path} in the code folder, where it is called {place}", advice
        for path in sorted(self.elsewhere):
            if f"/{path}".endswith(ends):
                return f"the model's file {path}, which is not in its code folder", "save the model again with that file in code_paths="
        if knowledge.of_projects(top):
            return "a module of the project that saved the model, and not in its code folder", "save the model again with it in code_paths="
        return None

    def _in_code(self, file: str, wanted: Global) -> Iterator[Finding]:
        """A module of the code folder has to be in it, with the name that is asked for."""
        path = wanted.module.replace(".", "/")
        found = next((each for each in (f"{path}.py", f"{path}/__init__.py") if each in self.code), None)
        if found is None:
            if not any(each.startswith((f"{path}/", f"{path}.")) for each in (*self.code, *self.others)) and not self._is_there(
                wanted.module.partition(".")[0]
            ):
                what = f"it imports {wanted.module}, which is not in the model's code folder {self.folder}"
                yield error("missing-module", file, what, "save the model again with that module in code_paths=")
            return
        source, name = self.code[found], wanted.name.partition(".")[0]
        if name and not source.error and source.names is not None and name not in source.names and not self._is_submodule(path, name):
            what = f"it imports {wanted}, and {self.folder}/{found} defines no {name}"
            yield error("missing-name", file, what, "save the model again together with the code that it was made with")

    def _is_submodule(self, path: str, name: str) -> bool:
        return any(each.startswith((f"{path}/{name}.", f"{path}/{name}/")) for each in (*self.code, *self.others))
