# Runs a command in a root with Nix, as root, without booting it. Runs in namespaces of its own.
#
# ROOT          directory of the root's files, which stay as they are
# WORK          an empty directory
# PROJECT       seen as /project
# DIRECTORIES   directories of the host that are seen where they are, one a line
# SETUP         code that makes the store
set -euo pipefail
mount -t tmpfs none "$WORK"
mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
mount -t overlay none -o "lowerdir=$ROOT,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
root=$WORK/root
options=()
eval "$SETUP"
mkdir -p "$root/project" "$root/nix"
mount --rbind "$WORK/nix" "$root/nix"
mount --bind "$PROJECT" "$root/project"
mount -t proc none "$root/proc"
mount -t tmpfs none "$root/dev"
for node in null zero full random urandom tty; do
    touch "$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
ln -s /proc/self/fd "$root/dev/fd"
while read -r directory; do
    [ -n "$directory" ] || continue
    mkdir -p "$root$directory"
    mount --bind "$directory" "$root$directory"
done <<<"$DIRECTORIES"
. "$root/etc/nix-test"
exec env -i PATH=/usr/sbin:/usr/bin HOME=/root NIX_REMOTE=local DISTRIBUTION="$DISTRIBUTION" LC_ALL=C.UTF-8 chroot "$root" \
    bash -c 'cd /project && exec "$@"' bash "$@"
