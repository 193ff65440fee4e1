"""UEFI variables as edk2's firmware for VMs keeps them: a firmware volume in a file, with a store of authenticated variables in it.

The formats are those of the PI specification (volume 3, "Firmware Volumes") and of edk2's headers ``VariableFormat.h`` and
``WorkingBlockHeader.h``.
"""

from __future__ import annotations

import struct
import uuid
from enum import IntFlag

from test_driver.errors import MachineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STORE_SIZE = 0x84000
"""The size of a store in bytes: variables, a log, the block that updates are planned in, and a spare copy of all these."""

_BLOCK = 0x1000
_VARIABLES_END = 0x40000
_WORKING_BLOCK = 0x41000
_WORKING_BLOCK_END = 0x42000

_VOLUME = struct.Struct("<16x16sQ4sIHHHxBIIII")
"""Type, length, signature, attributes, header's length, checksum, extended header, revision, and the numbers and lengths of blocks."""

_STORE = struct.Struct("<16sIBBHI")
"""Type, size, format, state."""

_HEADER = struct.Struct("<HBBIQ16sIII16s")
"""Start, state, reserved, flags, count, time, index of a key, sizes of name and data, vendor."""

_WORKING = struct.Struct("<16sIIQ")
"""Type, checksum, state, size of the queue."""

_START = 0x55AA
_ERASED = b"\xff"
_ATTRIBUTES = 0x0004FEFF


class EfiStoreError(MachineError):
    """A file that is no store of UEFI variables."""


class EfiGuid:
    """The vendors of some variables, by edk2's names for them."""

    gEfiGlobalVariableGuid = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
    gEfiImageSecurityDatabaseGuid = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
    gEfiCustomModeEnableGuid = uuid.UUID("c076ec0c-7028-4399-a072-71ee5c448b9f")
    gEfiSecureBootEnableDisableGuid = uuid.UUID("f0a30bc7-af08-4556-99c4-001009c93a44")
    gEfiCertDbGuid = uuid.UUID("d9bee56e-75dc-49d9-b4d7-b534210f637a")
    gEfiVendorKeysNvGuid = uuid.UUID("9073e4e0-60ec-4b6e-9903-4c223c260f3c")
    gMtcVendorGuid = uuid.UUID("eb704011-1402-11d3-8e77-00a0c969723b")
    gEfiSystemNvDataFvGuid = uuid.UUID("fff12b8d-7696-4c8b-a985-2747075b4f50")
    gEfiAuthenticatedVariableGuid = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")
    gEdkiiWorkingBlockSignatureGuid = uuid.UUID("9e58292b-7c68-497d-a0ce-6500fd9f1b95")


class EfiVariable:
    """One variable."""

    class Flags(IntFlag):
        """What a variable is for, and who may change it (UEFI specification, ``GetVariable()``)."""

        NON_VOLATILE = 0x01
        BOOTSERVICE_ACCESS = 0x02
        RUNTIME_ACCESS = 0x04
        HARDWARE_ERROR_RECORD = 0x08
        AUTHENTICATED_WRITE_ACCESS = 0x10
        TIME_BASED_AUTHENTICATED_WRITE_ACCESS = 0x20
        APPEND_WRITE = 0x40
        ENHANCED_AUTHENTICATED_ACCESS = 0x80

    class State(IntFlag):
        """What has become of a variable in its store. On flash a bit that is set here is one that was cleared."""

        VAR_IN_DELETED_TRANSITION = 0x01
        VAR_DELETED = 0x02
        VAR_ADDED = 0x40
        VAR_HEADER_VALID_ONLY = 0x80

    def __init__(
        self,
        vendor_uuid: uuid.UUID,
        name: str,
        data: bytes,
        flags: Flags | int = Flags.NON_VOLATILE | Flags.BOOTSERVICE_ACCESS | Flags.RUNTIME_ACCESS,
        state: State | int = State.VAR_HEADER_VALID_ONLY | State.VAR_ADDED,
        *,
        monotonic_count: int = 0,
        timestamp: bytes = bytes(16),
        public_key_index: int = 0,
    ) -> None:
        if not isinstance(vendor_uuid, uuid.UUID):
            raise TypeError(f"EfiVariable(): the vendor is a uuid.UUID, not {type(vendor_uuid).__name__}")
        if not name or "\0" in name:
            raise ValueError(f"EfiVariable(): {name!r} is no name of a variable")
        if len(timestamp) != 16:
            raise ValueError("EfiVariable(): a timestamp is an EFI_TIME of 16 bytes")
        self.vendor_uuid = vendor_uuid
        self.name = name
        self.data = bytes(data)
        self.flags = self.Flags(flags)
        self.state = self.State(state)
        self.monotonic_count = monotonic_count
        self.timestamp = timestamp
        self.public_key_index = public_key_index

    @property
    def vendorUUID(self) -> uuid.UUID:
        """The vendor as its bytes lie in the store, read as if they were in the order of a text. ``vendor_uuid`` is the vendor itself."""
        return uuid.UUID(bytes=self.vendor_uuid.bytes_le)

    @property
    def is_added(self) -> bool:
        """Whether it is there: written to its end, and not deleted."""
        return bool(self.state & self.State.VAR_ADDED) and not self.state & self.State.VAR_DELETED

    def print(self) -> None:
        """Prints it."""
        print(self)

    def __str__(self) -> str:
        shown = self.data[:64].hex(" ") + (" ..." if len(self.data) > 64 else "")
        return f"{self.vendor_uuid} {self.name} [{_names(self.flags)}] {len(self.data)} bytes: {shown}"

    def __repr__(self) -> str:
        return f"EfiVariable({self.vendor_uuid!r}, {self.name!r}, {self.data!r}, {self.flags!r}, {self.state!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EfiVariable) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def to_bytes(self) -> bytes:
        """The variable as it lies in a store, without what fills the space after it."""
        name = (self.name + "\0").encode("utf-16-le", "surrogatepass")
        header = _HEADER.pack(
            _START,
            ~self.state & 0xFF,
            0,
            self.flags,
            self.monotonic_count,
            self.timestamp,
            self.public_key_index,
            len(name),
            len(self.data),
            self.vendor_uuid.bytes_le,
        )
        return header + name + self.data


class VariableStore:
    """A file with variables."""

    def __init__(self, content: bytes, variables: list[EfiVariable]) -> None:
        self._content = content
        self.variables = variables

    @classmethod
    def blank(cls) -> VariableStore:
        """A store as firmware finds it that was never started."""
        return cls(_blank(), [])

    @classmethod
    def parse(cls, content: bytes) -> VariableStore:
        """The store in these bytes, with its variables that are there."""
        return cls(content, _present(_variables(content, _start(content))))

    def write(self, variables: Iterable[EfiVariable]) -> None:
        """Adds variables. One takes the place of the one that has its name and vendor."""
        for variable in variables:
            same = [_key(other) for other in self.variables]
            if _key(variable) in same:
                self.variables[same.index(_key(variable))] = variable
            else:
                self.variables.append(variable)

    def to_bytes(self) -> bytes:
        """The store's file. What lies outside of the variables stays as it was."""
        start = _start(self._content)
        end = _VARIABLES_END
        packed = bytearray()
        for variable in self.variables:
            packed += variable.to_bytes()
            packed += _ERASED * (-len(packed) % 4)
        room = end - start
        if len(packed) > room:
            raise ValueError(f"the variables take {len(packed)} bytes, and a store has room for {room}")
        return self._content[:start] + packed.ljust(room, _ERASED) + self._content[end:]


def _key(variable: EfiVariable) -> tuple[uuid.UUID, str]:
    return (variable.vendor_uuid, variable.name)


def _names(flags: IntFlag) -> str:
    names = [flag.name or "" for flag in type(flags) if flag & flags]
    return " ".join(names)


def _start(content: bytes) -> int:
    """Where the variables begin, after the headers, which must be there."""
    if len(content) != STORE_SIZE:
        raise EfiStoreError(f"a store of UEFI variables has {STORE_SIZE} bytes, not {len(content)}")
    kind, length, signature, _, header, *_ = _VOLUME.unpack_from(content)
    if signature != b"_FVH" or kind != EfiGuid.gEfiSystemNvDataFvGuid.bytes_le:
        raise EfiStoreError("the file has no firmware volume for UEFI variables in it")
    if length != STORE_SIZE or _sum(content[:header]) != 0:
        raise EfiStoreError("the header of the firmware volume is damaged")
    if header + _STORE.size > _VARIABLES_END:
        raise EfiStoreError("the header of the firmware volume is too long")
    kind, size, form, state, _, _ = _STORE.unpack_from(content, header)
    if kind != EfiGuid.gEfiAuthenticatedVariableGuid.bytes_le:
        raise EfiStoreError("the firmware volume has no store of authenticated variables in it")
    if (form, state) != (0x5A, 0xFE) or header + size != _VARIABLES_END:
        raise EfiStoreError("the store of UEFI variables is damaged")
    start: int = header + _STORE.size
    return start


def _sum(header: bytes) -> int:
    """The sum of a header's 16-bit words, which is 0 in one that is whole."""
    if len(header) % 2:
        return -1
    total: int = sum(struct.unpack(f"<{len(header) // 2}H", header))
    return total & 0xFFFF


def _variables(content: bytes, at: int) -> Iterator[EfiVariable]:
    """All variables that were ever written to their ends."""
    while at + _HEADER.size <= _VARIABLES_END:
        start, state, _, flags, count, time, key, name_size, data_size, vendor = _HEADER.unpack_from(content, at)
        if start != _START:
            return
        where = at
        at += _HEADER.size
        if name_size == data_size == 0xFFFFFFFF:
            # The header was not written to its end.
            continue
        end = at + name_size + data_size
        if end > _VARIABLES_END or name_size % 2:
            raise EfiStoreError(f"the UEFI variable at {where:#x} is damaged")
        variable_state = EfiVariable.State(~state & 0xC3)
        if variable_state & EfiVariable.State.VAR_ADDED:
            name = content[at : at + name_size].decode("utf-16-le", "surrogatepass").split("\0", 1)[0]
            if not name:
                raise EfiStoreError(f"the UEFI variable at {where:#x} has no name")
            yield EfiVariable(
                uuid.UUID(bytes_le=vendor),
                name,
                content[at + name_size : end],
                flags,
                variable_state,
                monotonic_count=count,
                timestamp=time,
                public_key_index=key,
            )
        at = end + -end % 4


def _present(variables: Iterable[EfiVariable]) -> list[EfiVariable]:
    """Those that are there. One that is about to be replaced is, unless its successor is there already."""
    leaving = EfiVariable.State.VAR_IN_DELETED_TRANSITION
    added = [variable for variable in variables if variable.is_added]
    successors = [_key(variable) for variable in added if not variable.state & leaving]
    return [variable for variable in added if not variable.state & leaving or _key(variable) not in successors]


def _blank() -> bytes:
    """What edk2 makes of an empty store."""
    guid = EfiGuid.gEfiSystemNvDataFvGuid.bytes_le
    blocks = (STORE_SIZE // _BLOCK, _BLOCK, 0, 0)
    header = _VOLUME.size

    def volume(checksum: int) -> bytes:
        return _VOLUME.pack(guid, STORE_SIZE, b"_FVH", _ATTRIBUTES, header, checksum, 0, 2, *blocks)

    store = _STORE.pack(EfiGuid.gEfiAuthenticatedVariableGuid.bytes_le, _VARIABLES_END - header, 0x5A, 0xFE, 0, 0)
    content = (volume(-_sum(volume(0)) & 0xFFFF) + store).ljust(_WORKING_BLOCK, _ERASED)
    working = _working_block().ljust(_WORKING_BLOCK_END - _WORKING_BLOCK, _ERASED)
    return (content + working).ljust(STORE_SIZE, _ERASED)


def _working_block() -> bytes:
    import zlib

    queue = _WORKING_BLOCK_END - _WORKING_BLOCK - _WORKING.size
    guid = EfiGuid.gEdkiiWorkingBlockSignatureGuid.bytes_le
    # The checksum is of the header as it is before anything was written to it but type and size.
    erased = _WORKING.pack(guid, 0xFFFFFFFF, 0xFFFFFFFF, queue)
    return _WORKING.pack(guid, zlib.crc32(erased), 0xFFFFFFFE, queue)


__all__ = ["STORE_SIZE", "EfiGuid", "EfiStoreError", "EfiVariable", "VariableStore"]
