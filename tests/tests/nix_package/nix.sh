# Runs a command in a root, in namespaces of its own.
#
# ROOT          directory of the root's files, which stay as they are
# WORK          an empty directory
# PROJECT       seen as /project
# DIRECTORIES   directories that are seen where they are, one a line
set -euo pipefail
mount -t tmpfs none "$WORK"
mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
mount -t overlay none -o "lowerdir=$ROOT,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
root=$WORK/root
mkdir "$root/project"
mount --bind "$PROJECT" "$root/project"
while read -r directory; do
    mkdir -p "$root$directory"
    mount --bind "$directory" "$root$directory"
done <<<"$DIRECTORIES"
mount -t proc none "$root/proc"
mount --rbind /dev "$root/dev"
exec chroot "$root" env -i PATH=/usr/bin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
