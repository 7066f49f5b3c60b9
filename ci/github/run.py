"""What the GitHub action runs: one verb of `deploy`, with the inputs as variables; its outcome becomes the step's outputs and summary.

    VERB, FILE, TARGET, NAME, MODEL, CONFIG (KEY=VALUE lines), ARGUMENTS; GITHUB_OUTPUT and GITHUB_STEP_SUMMARY are files that GitHub reads.

It ends with the verb's own exit code.
"""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

CHANGES_NOTHING = {"plan", "diff", "doctor"}
VERBS = {"apply", "create", "update", "delete", "prune", *CHANGES_NOTHING}
OUTPUTS = ("name", "generation", "status", "url")


def main() -> int:
    verb = os.environ.get("VERB", "")
    if verb not in VERBS:
        print(f"::error::{verb or 'nothing'} is not a verb that this action runs: {', '.join(sorted(VERBS))}", file=sys.stderr)
        return 2
    text = verb in CHANGES_NOTHING
    command = [str(Path(sys.executable).with_name("deploy")), verb, *arguments(), *([] if text else ["-o", "json"])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="")
    if text:
        tell("GITHUB_STEP_SUMMARY", f"### deploy {verb}\n\n```text\n{done.stdout}```\n")
    else:
        for name, value in outputs(done.stdout).items():
            tell("GITHUB_OUTPUT", f"{name}={value}\n")
    return done.returncode


def arguments() -> list[str]:
    """The inputs as a command line."""
    flags = {"FILE": "-f", "TARGET": "-t", "NAME": "-n", "MODEL": "-m"}
    named = [part for variable, flag in flags.items() if os.environ.get(variable) for part in (flag, os.environ[variable])]
    options = [part for line in os.environ.get("CONFIG", "").splitlines() if line.strip() for part in ("-C", line.strip())]
    return [*named, *options, *shlex.split(os.environ.get("ARGUMENTS", ""))]


def outputs(document: str) -> dict[str, str]:
    """What later steps can ask for: of several targets, the last one's."""
    try:
        parsed = json.loads(document)
    except ValueError:
        return {}
    last = parsed[-1] if isinstance(parsed, list) and parsed else parsed
    facts = last if isinstance(last, dict) else {}
    return {"document": json.dumps(parsed), **{name: str(facts[name]) for name in OUTPUTS if facts.get(name)}}


def tell(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main())
