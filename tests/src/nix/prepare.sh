# Adds a distribution's files to a new store. Runs in namespaces of its own.
#
# ROOT    directory of a root with Nix, which stays as it is
# WORK    an empty directory
# FILES   the distribution, which is changed to what a store can hold
# STORE   an empty directory, which becomes /nix
set -euo pipefail
find "$FILES/dev" -mindepth 1 -delete
find "$FILES" -xdev -perm /6000 -exec chmod u-s,g-s {} +
find "$FILES" -xdev \( -type s -o -type p -o -type b -o -type c \) -delete
mount -t tmpfs none "$WORK"
mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
root=$WORK/root
mount -t overlay none -o "lowerdir=$ROOT,upperdir=$WORK/upper,workdir=$WORK/work" "$root"
mkdir -p "$root/nix" "$root/distribution"
mount --bind "$STORE" "$root/nix"
mount --bind "$FILES" "$root/distribution"
mount -t proc none "$root/proc"
env -i PATH=/usr/sbin:/usr/bin HOME=/root NIX_REMOTE=local chroot "$root" nix-store --add /distribution
# What Nix leaves there of its run.
rm -rf "$STORE/store/.links"
