from __future__ import annotations

import random
import unittest
import uuid
from pathlib import Path

from test_driver.efi import STORE_SIZE, EfiGuid, EfiStoreError, EfiVariable, VariableStore

FIRMWARE = Path("/usr/share/OVMF")
"""Where Debian has stores that edk2's own tools have made."""

State = EfiVariable.State
Flags = EfiVariable.Flags


def anything(dice: random.Random) -> EfiVariable:
    letters = "".join(chr(dice.choice([*range(32, 127), 0xE4, 0x20AC])) for _ in range(dice.randrange(1, 20)))
    return EfiVariable(
        uuid.UUID(int=dice.getrandbits(128)),
        letters,
        dice.randbytes(dice.randrange(200)),
        dice.randrange(256),
        monotonic_count=dice.getrandbits(64),
        timestamp=dice.randbytes(16),
        public_key_index=dice.getrandbits(32),
    )


class StoreTest(unittest.TestCase):
    def test_what_is_written_is_read(self) -> None:
        for seed in range(100):
            dice = random.Random(seed)
            variables = [anything(dice) for _ in range(dice.randrange(30))]
            store = VariableStore.blank()
            store.write(variables)
            content = store.to_bytes()
            self.assertEqual(len(content), STORE_SIZE)
            again = VariableStore.parse(content)
            self.assertEqual(again.variables, variables, seed)
            self.assertEqual(again.to_bytes(), content, seed)

    def test_names_and_vendors_are_replaced(self) -> None:
        one, other = uuid.UUID(int=1), uuid.UUID(int=2)
        store = VariableStore.blank()
        store.write([EfiVariable(one, "a", b"1"), EfiVariable(other, "a", b"2"), EfiVariable(one, "b", b"3")])
        store.write([EfiVariable(one, "a", b"4")])
        found = [(variable.name, variable.data) for variable in VariableStore.parse(store.to_bytes()).variables]
        self.assertEqual(found, [("a", b"4"), ("a", b"2"), ("b", b"3")])

    def test_only_what_is_there_is_read(self) -> None:
        added = State.VAR_HEADER_VALID_ONLY | State.VAR_ADDED
        vendor = EfiGuid.gEfiGlobalVariableGuid

        def variable(name: str, data: bytes, more: int = 0) -> EfiVariable:
            return EfiVariable(vendor, name, data, state=added | more)

        store = VariableStore.blank()
        store.variables = [
            variable("deleted", b"", State.VAR_DELETED | State.VAR_IN_DELETED_TRANSITION),
            variable("replaced", b"old", State.VAR_IN_DELETED_TRANSITION),
            variable("leaving", b"still there", State.VAR_IN_DELETED_TRANSITION),
            EfiVariable(vendor, "unfinished", b"x", state=State.VAR_HEADER_VALID_ONLY),
            variable("replaced", b"new"),
        ]
        found = [(variable.name, variable.data) for variable in VariableStore.parse(store.to_bytes()).variables]
        self.assertEqual(found, [("leaving", b"still there"), ("replaced", b"new")])

    def test_a_full_store_is_told(self) -> None:
        store = VariableStore.blank()
        store.write([EfiVariable(uuid.UUID(int=1), "x", bytes(0x40000))])
        with self.assertRaisesRegex(ValueError, "take 262208 bytes, and a store has room for 262044"):
            store.to_bytes()

    def test_what_is_no_store_is_told(self) -> None:
        good = VariableStore.blank()
        good.write([EfiVariable(uuid.UUID(int=1), "x", b"data")])
        content = good.to_bytes()

        def damaged(at: int, new: bytes) -> bytes:
            return content[:at] + new + content[at + len(new) :]

        for bad, words in [
            (b"", "has 540672 bytes, not 0"),
            (bytes(STORE_SIZE), "no firmware volume"),
            (damaged(0x28, b"XXXX"), "no firmware volume"),
            (damaged(0x32, b"\0\0"), "header of the firmware volume is damaged"),
            (damaged(0x48, bytes(16)), "no store of authenticated variables"),
            (damaged(0x58, bytes(4)), "store of UEFI variables is damaged"),
            (damaged(0x64 + 36, b"\xff\xff\xff\x7f"), "variable at 0x64 is damaged"),
        ]:
            with self.subTest(words), self.assertRaisesRegex(EfiStoreError, words):
                VariableStore.parse(bad)

    def test_no_damage_is_worse_than_an_error(self) -> None:
        store = VariableStore.blank()
        dice = random.Random(1)
        store.write([anything(dice) for _ in range(20)])
        content = store.to_bytes()
        for _ in range(2000):
            damaged = bytearray(content)
            for _ in range(dice.randrange(1, 8)):
                damaged[dice.randrange(0x1000)] = dice.randrange(256)
            try:
                VariableStore.parse(bytes(damaged))
            except EfiStoreError:
                pass

    def test_wrong_variables_are_refused(self) -> None:
        vendor = uuid.UUID(int=1)
        with self.assertRaisesRegex(ValueError, "no name"):
            EfiVariable(vendor, "", b"")
        with self.assertRaisesRegex(ValueError, "no name"):
            EfiVariable(vendor, "a\0b", b"")
        with self.assertRaisesRegex(TypeError, "not str"):
            EfiVariable(str(vendor), "a", b"")  # type: ignore[arg-type]

    def test_vendors_can_be_compared_as_scripts_do(self) -> None:
        vendor = uuid.UUID("12345678-1234-5678-9abc-def012345678")
        variable = EfiVariable(vendor, "x", b"")
        self.assertEqual(variable.vendorUUID, uuid.UUID(bytes=vendor.bytes_le))
        self.assertEqual(str(variable), f"{vendor} x [NON_VOLATILE BOOTSERVICE_ACCESS RUNTIME_ACCESS] 0 bytes: ")

    @unittest.skipUnless(FIRMWARE.is_dir(), "Debian's package ovmf is not installed")
    def test_firmware_makes_the_same(self) -> None:
        self.assertEqual(VariableStore.blank().to_bytes(), (FIRMWARE / "OVMF_VARS_4M.fd").read_bytes())
        content = (FIRMWARE / "OVMF_VARS_4M.ms.fd").read_bytes()
        store = VariableStore.parse(content)
        found = {(variable.vendor_uuid, variable.name): variable.data for variable in store.variables}
        self.assertEqual(found[EfiGuid.gEfiSecureBootEnableDisableGuid, "SecureBootEnable"], b"\1")
        self.assertIn((EfiGuid.gEfiImageSecurityDatabaseGuid, "db"), found)
        self.assertIn((EfiGuid.gMtcVendorGuid, "MTC"), found)
        again = VariableStore.parse(store.to_bytes())
        self.assertEqual(again.variables, store.variables)


if __name__ == "__main__":
    unittest.main()
