# Boots a systemd machine that is thrown away, runs a program in it as root, and prints what that said. Runs in mount and pid namespaces of
# its own, in which all of its mounts and processes end with it.
#
# ROOT      directory of the machine's files, which stay as they are
# WORK      an empty directory
# PROGRAM   the program
# CGROUPS   cgroups to enter first, one a line
# BINDS     HOST:GUEST, one a line
# NAME      the machine's name
# SETUP     code to run before it boots
# NETWORK   `own`, or `given` if this process's network namespace is the machine's
set -euo pipefail

while read -r cgroup; do echo $$ >"$cgroup/cgroup.procs"; done <<<"$CGROUPS"

# What systemd-nspawn keeps of its machines is not for the host to see.
for run in /run/systemd/nspawn /run/systemd /run; do
    [ ! -d "$run" ] || { mount -t tmpfs none "$run" && break; }
done

mount -t tmpfs none "$WORK"
mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
mount -t overlay none -o "lowerdir=$ROOT,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
install -m 755 "$PROGRAM" "$WORK/root/program"
echo "$NAME" >"$WORK/root/etc/hostname"
units=$WORK/root/etc/systemd/system
cat >"$units/program.service" <<'UNIT'
[Unit]
After=dbus.service multi-user.target
[Service]
Type=exec
WorkingDirectory=/root
ExecStart=/bin/bash -c '/program >/said 2>&1; echo $? >/status'
ExecStopPost=/usr/bin/systemctl --no-block poweroff
UNIT
mkdir -p "$units/multi-user.target.wants"
ln -s ../program.service "$units/multi-user.target.wants/"

options=()
while read -r bind; do [ -z "$bind" ] || options+=("--bind-ro=$bind"); done <<<"$BINDS"
case $NETWORK in
given) options+=(--network-namespace-path=/proc/self/ns/net) ;;
*) options+=(--private-network) ;;
esac
eval "$SETUP"

# A machine that may do what a host may: make namespaces and mounts, and run systemd-nspawn itself.
export SYSTEMD_SECCOMP=0 SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=1
systemd-nspawn --quiet --boot --directory="$WORK/root" --machine="$NAME" --register=no --keep-unit --capability=all \
    --property='DeviceAllow=char-* rwm' --console=read-only "${options[@]}" </dev/null >"$WORK/console" 2>&1 ||
    { cat "$WORK/console" >&2; exit 125; }
[ -e "$WORK/root/status" ] || { cat "$WORK/console" >&2; exit 125; }
cat "$WORK/root/said"
exit "$(cat "$WORK/root/status")"
