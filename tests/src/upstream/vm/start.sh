#!/usr/bin/env bash
# Boots a VM the way NixOS' start scripts do.
# NAME, BASE, KERNEL, INITRD, SEEN, CMDLINE, FIRMWARE and the arrays NICS and SHARES come before this line in each machine's copy.
set -e

printf '%s\n' "$@" >"$SEEN/$NAME.arguments"
env >"$SEEN/$NAME.environment"
pwd >"$SEEN/$NAME.directory"

NIX_DISK_IMAGE=$(readlink -f "${NIX_DISK_IMAGE:-./$NAME.qcow2}")
if ! test -e "$NIX_DISK_IMAGE"; then
    echo "Disk image do not exist, creating the virtualisation disk image..."
    qemu-img create -q -f qcow2 -F raw -b "$BASE" "$NIX_DISK_IMAGE"
    echo "Virtualisation disk image created."
fi
if [ -z "$TMPDIR" ] || [ -z "$USE_TMPDIR" ]; then
    TMPDIR=$(mktemp -d nix-vm.XXXXXXXXXX --tmpdir)
fi
mkdir -p "$TMPDIR/xchg"

firmware=()
if [ -n "$FIRMWARE" ]; then
    NIX_EFI_VARS=$(readlink -f "${NIX_EFI_VARS:-./$NAME-efi-vars.fd}")
    if ! test -e "$NIX_EFI_VARS"; then
        cp "$FIRMWARE/OVMF_VARS_4M.fd" "$NIX_EFI_VARS"
        chmod 0644 "$NIX_EFI_VARS"
    fi
    firmware=(-drive "if=pflash,format=raw,unit=0,readonly=on,file=$FIRMWARE/OVMF_CODE_4M.fd"
        -drive "if=pflash,format=raw,unit=1,file=$NIX_EFI_VARS")
fi

cd "$TMPDIR"

kernel="NIXPKGS_QEMU_KERNEL_$NAME"
nics=()
for nic in "${NICS[@]}"; do
    # Number, VLAN, MAC address.
    IFS=, read -r number vlan mac <<<"$nic"
    socket="QEMU_VDE_SOCKET_$vlan"
    nics+=(-device "virtio-net-pci,netdev=vlan$number,mac=$mac" -netdev "vde,id=vlan$number,sock=${!socket}")
done
shares=()
for tag in "${SHARES[@]}"; do
    case $tag in
    shared) path=${SHARED_DIR:-$TMPDIR/xchg} ;;
    *) path=$TMPDIR/$tag ;;
    esac
    shares+=(-virtfs "local,path=$path,security_model=none,mount_tag=$tag")
done

exec qemu-system-x86_64 -machine accel=tcg -cpu max \
    -name "$NAME" \
    -m 768 \
    -smp 1 \
    -device virtio-rng-pci \
    -net nic,netdev=user.0,model=virtio -netdev user,id=user.0,"$QEMU_NET_OPTS" \
    "${nics[@]}" \
    "${shares[@]}" \
    -drive cache=writeback,file="$NIX_DISK_IMAGE",id=drive1,if=none,index=1,werror=report \
    -device virtio-blk-pci,bootindex=1,drive=drive1,serial=root \
    "${firmware[@]}" \
    -kernel "${!kernel:-$KERNEL}" \
    -initrd "$INITRD" \
    -append "$CMDLINE console=tty0 console=ttyS0 panic=1 $QEMU_KERNEL_PARAMS" \
    $QEMU_OPTS \
    "$@"
