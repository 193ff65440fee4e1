# Runs a program as an ordinary user.
#
# BINDS     HOST:GUEST directories that the user shall reach, one a line, GUEST below /mnt
# HIDDEN    what is hidden of /proc, if anything is: then no user can have another /proc
set -euo pipefail
mount -t tmpfs -o mode=755 none /mnt
while IFS=: read -r from to; do
    mkdir -p "$to"
    mount --bind "$from" "$to"
done <<<"$BINDS"
[ -z "$HIDDEN" ] || mount -t tmpfs none "/proc/$HIDDEN"
cd /mnt/test
exec setpriv --reuid nobody --regid nogroup --clear-groups --inh-caps=-all "$@"
