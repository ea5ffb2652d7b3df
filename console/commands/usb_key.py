"""`watchfloor usb-key`: a hardware key on USB, without an SSH agent. Speaks to no backend."""

import os
from pathlib import Path

import click

from console.client import usb_key as device
from console.client import usb_key_file
from console.client.usb_key_file import USB_KEY_VARIABLE
from console.commands.base import pin_prompt
from console.commands.output import note, write_json, write_lines
from contract.hardware import SK_ECDSA, SK_ED25519, fingerprint

_KINDS = {"ed25519": SK_ED25519, "ecdsa": SK_ECDSA}
_NONCE_BYTES = 32


@click.group("usb-key")
def usb_key() -> None:
    """Keys that lie on a device on USB; needs the extra: pip install 'watchfloor[fido2]'."""


@usb_key.command("make")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--type", "kind", type=click.Choice(list(_KINDS)), default="ed25519", show_default=True)
@click.option("--verify-required", is_flag=True, help="The key asks for its PIN or a fingerprint at each use.")
@click.option("--comment", default="", help="What tells this key from others.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
def make(file: Path, kind: str, comment: str, *, verify_required: bool, as_json: bool) -> None:
    """Make a key on the device and write FILE and FILE.pub, as ssh-keygen -t ed25519-sk does.

    Whoever runs the backend enrols FILE.pub; FILE holds no secret, and is of use only with the device.
    """
    public = file.with_name(f"{file.name}.pub")
    if file.exists() or public.exists():
        raise click.BadParameter(f"{file} or {public} is there already.", param_hint="FILE")
    note("Touch the security key when it blinks.")
    made = device.make(
        device.plugged_in,
        pin_prompt(),
        kind=_KINDS[kind],
        verified=verify_required,
        comment=comment,
        nonce=os.urandom(_NONCE_BYTES),
    )
    try:
        usb_key_file.write(file, made)
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error
    if as_json:
        write_json("usb_key.make", {"file": str(file), "type": made.kind, "fingerprint": fingerprint(made.blob)})
        return
    write_lines(
        [
            f"{fingerprint(made.blob)} is in {file}.",
            f"Enrol it:  watchfloor user enroll-key NAME --public-key {public}",
            f"Use it:    export {USB_KEY_VARIABLE}={file}",
        ]
    )
