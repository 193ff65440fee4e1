"""What only VMs have."""

from __future__ import annotations

import os
import time

from test_driver.duration import FIFTEEN_MINUTES, seconds
from test_driver.errors import MachineError, RequestedAssertionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from test_driver.driver import Driver
    from test_driver.efi import EfiVariable, VariableStore

_LOOK = 0.1
"""How often that is looked for, in seconds."""


class VmVerbs:
    """The verbs that machines of other kinds lack."""

    name: str
    state_dir: Path
    _driver: Driver

    if TYPE_CHECKING:

        def _standing(self) -> dict[str, Any]: ...

    # Life

    def switch_root(self) -> None:
        """Leaves the initrd: waits until it is done, has it switch to the system's root, and waits for the shell there."""
        self.wait_for_unit("initrd.target")  # type: ignore[attr-defined]
        before = int(self._standing()["shells"])
        isolate = "isolate --no-block initrd-switch-root.target"
        try:
            status, said = self.systemctl(isolate)  # type: ignore[attr-defined]
        except MachineError:
            # The initrd's shell may be stopped before it has answered.
            if not self._standing()["up"]:
                raise
        else:
            if status != 0:
                raise RequestedAssertionFailed(f"`systemctl {isolate}` failed (exit code {status}): {said.strip()}")
        limit = seconds(FIFTEEN_MINUTES, "switch_root")
        if not self._new_shell(before, limit) and self._standing()["up"]:
            raise RequestedAssertionFailed(
                f"machine {self.name}: switch_root: no shell came in the system's root within {limit:g} seconds"
            )
        self.execute("true")  # type: ignore[attr-defined]

    def _new_shell(self, before: int, limit: float) -> bool:
        """Waits until a shell has come after so many others; false if none did, or the machine ended."""
        until = time.monotonic() + limit
        while (now := self._standing())["up"] and now["shells"] <= before and time.monotonic() < until:
            if tick := self._driver.tick:
                tick()
            time.sleep(_LOOK)
        return int(now["shells"]) > before

    # UEFI variables

    def create_efi_vars(self) -> None:
        """Gives the machine an empty store of UEFI variables, in place of the one that it has."""
        from test_driver.efi import VariableStore

        self._efi_write("create_efi_vars", VariableStore.blank())

    def read_efi_vars(self) -> list[EfiVariable]:
        """The machine's UEFI variables."""
        return self._efi_read("read_efi_vars").variables

    def write_efi_vars(self, efi_vars: list[EfiVariable]) -> None:
        """Adds UEFI variables. One takes the place of the one that has its name and vendor."""
        store = self._efi_read("write_efi_vars")
        store.write(efi_vars)
        self._efi_write("write_efi_vars", store)

    def dump_efi_vars(self) -> None:
        """Prints the machine's UEFI variables."""
        for variable in self._efi_read("dump_efi_vars").variables:
            variable.print()

    def _efi_read(self, verb: str) -> VariableStore:
        from test_driver.efi import EfiStoreError, VariableStore

        path = self._efi_vars(verb)
        try:
            return VariableStore.parse(path.read_bytes())
        except FileNotFoundError:
            raise RequestedAssertionFailed(
                f"machine {self.name}: {verb}: it has no UEFI variables yet; create_efi_vars() or its first start makes a store"
            ) from None
        except EfiStoreError as error:
            raise EfiStoreError(f"machine {self.name}: {verb}: {path}: {error}") from None

    def _efi_write(self, verb: str, store: VariableStore) -> None:
        path = self._efi_vars(verb)
        content = store.to_bytes()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(content)
        os.replace(new, path)

    def _efi_vars(self, verb: str) -> Path:
        if not self._description().get("start_script"):
            raise MachineError(f"machine {self.name}: {verb}: only VMs with a start script boot by UEFI")
        if self._standing()["up"]:
            raise RequestedAssertionFailed(
                f"machine {self.name}: {verb}: its UEFI variables can be reached only while it is stopped"
            )
        return self.state_dir / f"{self.name}-efi-vars.fd"

    # The driver

    def _description(self) -> dict[str, Any]:
        return self._driver.description(self.name)
