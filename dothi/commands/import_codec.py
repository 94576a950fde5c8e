"""`dothi devices import-codec`: a vendor's JavaScript codec becomes the draft of a profile. Needs no stack."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml

from devices.codecs.js import Decoded, Frame, JsCodec, codec_of, decode_each
from devices.family import FAMILIES
from devices.import_codec import Draft, draft_of
from devices.profile import BadProfile
from devices.profile_examples import profile_with_examples
from devices.vendor_examples import FROZEN_MS, Tried, VendorExample, chirpstack_tests, try_examples, ttn_codec
from dothi.commands.options import AsJson
from dothi.errors import Refused, WrongUsage
from dothi.output import console, print_json

YAML = (".yaml", ".yml")
Result = TypeVar("Result")


def import_codec(
    file: Annotated[Path, typer.Argument(help="The vendor's codec.js, or the <codec>.yaml of a device repository.")],
    out: Annotated[Path, typer.Option(help="Folder for the profile and the codec beside it; made when missing.")],
    tests: Annotated[
        Path | None,
        typer.Option(help="Examples: <codec>.yaml or test_decode_*.json; else looked for beside the codec."),
    ] = None,
    family: Annotated[str | None, typer.Option(help="What the device measures; else guessed from the fields.")] = None,
    name: Annotated[str | None, typer.Option(help="Id of the profile; else the codec's file name.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a profile of this name.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draft a profile from a vendor's JavaScript codec; exit 1 when one of the vendor's examples differs.

    Runs every example, copies the codec beside the profile under its SHA-256, and guesses which field is which metric.
    Guesses are marked CHECK: look at them, then use the file with `--profile` of decode and check, or put both files
    into devices/profiles.

    Example: dothi devices import-codec am102.js --tests test_decode_am102.json --out drafts
    """
    if family is not None and family not in FAMILIES:
        raise WrongUsage(f"--family is {family}; expected one of {', '.join(FAMILIES)}")
    script, examples = parts_of(file, tests)
    slug = name or re.sub(r"[^a-z0-9]+", "-", script.stem.lower()).strip("-")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{2,62}", slug):
        raise WrongUsage(f"--name is {slug}; expected 3 to 63 of a-z, 0-9 and -, starting with a letter or digit")
    target = out / f"{slug}.yaml"
    if target.exists() and not force:
        raise WrongUsage(f"{target} exists; give another --name or --out, or --force to write over it")
    codec = loaded(script)
    tried = try_examples(codec, examples)
    draft = drafted(slug, script.stem, codec, tried, family)
    write(draft, tried, out, script.read_bytes())
    report = report_of(draft, tried, target)
    if as_json:
        print_json(report)
    else:
        show(report)
    failed = report["examples"]["failed"]
    if failed:
        raise Refused(f"{len(failed)} of {len(tried)} examples differ from what the vendor states; {target} is written")


def parts_of(file: Path, tests: Path | None) -> tuple[Path, list[VendorExample]]:
    """The script and its examples. Raises WrongUsage, Refused."""
    if file.suffix in YAML:
        named, examples = parsed(file, ttn_codec)
        script = file.parent / named
        if not script.resolve().is_relative_to(file.parent.resolve()):
            raise Refused(f"{file}: uplinkDecoder.fileName is {named}; expected a file beside or below it")
        return script, (examples_of(tests) if tests else examples)
    found = tests or beside(file)
    if found is None:
        raise WrongUsage(
            f"--tests is missing; expected <codec>.yaml or test_decode_*.json, none lies beside {file.name}"
        )
    return file, examples_of(found)


def beside(script: Path) -> Path | None:
    """The file of examples that lies beside a script: by ChirpStack's name, or the YAML that names the script."""
    listed = script.parent / f"test_decode_{script.stem}.json"
    if listed.is_file():
        return listed
    for path in sorted(script.parent.glob("*.yaml")):
        try:
            if (script.parent / ttn_codec(path.read_text("utf-8"))[0]) == script:
                return path
        except (ValueError, OSError, yaml.YAMLError):
            continue
    return None


def examples_of(path: Path) -> list[VendorExample]:
    """The examples of a file of either form."""
    return parsed(path, lambda text: ttn_codec(text)[1]) if path.suffix in YAML else parsed(path, chirpstack_tests)


def parsed(path: Path, read: Callable[[str], Result]) -> Result:
    """What a reader makes of a file's text. Raises WrongUsage, Refused."""
    try:
        return read(path.read_text("utf-8"))
    except OSError as error:
        raise WrongUsage(f"file {path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise Refused(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:  # not UTF-8 among them
        raise Refused(f"{path}: {error}") from None


def loaded(script: Path) -> JsCodec:
    """The codec, which offers a function to decode with. Raises WrongUsage, Refused."""
    try:
        codec = codec_of(script.name, script.read_bytes())
    except OSError as error:
        raise WrongUsage(f"file {script}: {error.strerror}") from None
    except ValueError as error:
        raise Refused(str(error)) from None
    said = decode_each(codec, [Frame(b"\0", 1, FROZEN_MS)])[0]
    if not isinstance(said, Decoded) and "cannot be loaded" in said.detail:
        raise Refused(said.detail)
    return codec


def drafted(slug: str, title: str, codec: JsCodec, tried: Sequence[Tried], family: str | None) -> Draft:
    """The draft. Raises Refused when there is nothing to draft from."""
    if not any(isinstance(one.said, Decoded) for one in tried):
        why = tried[0].problem if tried else "there are none; give some with --tests"
        raise Refused(f"no example decodes, so no field is known: {why}")
    try:
        return draft_of(slug, title, f"{slug}.js", codec, tried, family)
    except ValueError as error:
        passed = sum(one.problem is None for one in tried)
        raise Refused(f"{codec.name}: {passed} of {len(tried)} examples pass, but {error}") from None


def write(draft: Draft, tried: Sequence[Tried], out: Path, script: bytes) -> None:
    """Both files. Raises WrongUsage when the folder cannot be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / draft.file).write_bytes(script)
        (out / f"{draft.name}.yaml").write_text(profile_with_examples(draft, tried, out), "utf-8")
    except OSError as error:
        raise WrongUsage(f"--out {out}: {error.strerror}") from None
    except BadProfile as error:
        raise Refused(f"the draft of {draft.name} is no profile: {error}") from None


def report_of(draft: Draft, tried: Sequence[Tried], target: Path) -> dict[str, Any]:
    """What was done, as JSON shows it."""
    failed = [
        {"name": one.example.name, "frame": one.example.frame.payload.hex(), "problem": one.problem}
        for one in tried
        if one.problem is not None
    ]
    return {
        "profile": str(target),
        "codec": draft.file,
        "sha256": draft.codec.sha256,
        "family": draft.family.name,
        "family_guessed": draft.guessed,
        "slow": any(isinstance(one.said, Decoded) and one.said.slow for one in tried),
        "fields": [{"metric": f.metric, "path": f.paths, "unit": f.unit, "states": f.states} for f in draft.fields],
        "unmapped": draft.unmapped,
        "examples": {"total": len(tried), "passed": len(tried) - len(failed), "failed": failed},
    }


def show(report: dict[str, Any]) -> None:
    """The same for people."""
    counts = report["examples"]
    lines = [
        f"{report['profile']}: family {report['family']}{' (a guess)' if report['family_guessed'] else ''}, "
        f"{len(report['fields'])} fields, each to be checked",
        f"codec {report['codec']}, sha256 {report['sha256']}",
        f"{counts['passed']} of {counts['total']} examples of the vendor pass",
        *(f"  differs: {one['name']} ({one['frame']}): {one['problem']}" for one in counts["failed"]),
    ]
    if report["unmapped"]:
        lines.append(f"kept in extra: {', '.join(report['unmapped'])}")
    if report["slow"]:
        lines.append("the codec keeps state between messages, so each gets a fresh context (about 1.5 ms a message)")
    lines.append(f"next: dothi devices check {report['profile']}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
