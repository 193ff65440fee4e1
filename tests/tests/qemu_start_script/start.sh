#!/bin/sh
# Boots a VM the way NixOS' start scripts do: a disk on first use, a working directory, then QEMU in this process's place.
# NAME, SEEN, ROOT, KERNEL, INITRD and MARK come before this line in each machine's copy.
set -e

printf '%s\n' "$@" >"$SEEN/$NAME.arguments"
env >"$SEEN/$NAME.environment"
pwd >"$SEEN/$NAME.directory"
readlink "/proc/$$/exe" >"$SEEN/$NAME.shell"

NIX_DISK_IMAGE=$(readlink -f "${NIX_DISK_IMAGE:-./$NAME.img}")
if ! test -e "$NIX_DISK_IMAGE"; then
    echo "Disk image do not exist, creating the virtualisation disk image..."
    mke2fs -q -t ext4 -L nixos -d "$ROOT" "$NIX_DISK_IMAGE" 64M
    echo "Virtualisation disk image created."
fi
if [ -z "$TMPDIR" ] || [ -z "$USE_TMPDIR" ]; then
    TMPDIR=$(mktemp -d nix-vm.XXXXXXXXXX --tmpdir)
fi
mkdir -p "$TMPDIR/xchg"
cd "$TMPDIR"
echo "$NAME was here" >"$SHARED_DIR/$NAME"
stat -c %a "$SHARED_DIR" >"$SEEN/$NAME.shared"
ls "$SHARED_DIR" >>"$SEEN/$NAME.shared"

# What a TPM's emulator would be: it stays beside QEMU, in a session of its own.
setsid sleep "$MARK" &

# The numbers are those of the interface and of the VLAN.
if [ -n "$QEMU_VDE_SOCKET_1" ]; then
    set -- -device virtio-net-pci,netdev=vlan1,mac=52:54:00:12:01:02 -netdev vde,id=vlan1,sock="$QEMU_VDE_SOCKET_1" "$@"
fi

# Scripts that do this are common, too.
echo "starting QEMU" >/dev/stderr

exec qemu-system-x86_64 -accel tcg -cpu max -name "$NAME" -m 256 -smp 1 -nic none -device virtio-rng-pci \
    -drive index=0,id=drive1,if=none,format=raw,file="$NIX_DISK_IMAGE" -device virtio-blk-pci,drive=drive1,serial=root \
    -kernel "$KERNEL" -initrd "$INITRD" -append "console=ttyS0 panic=-1 quiet $QEMU_KERNEL_PARAMS" $QEMU_OPTS "$@"
