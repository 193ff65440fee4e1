# A container as raw as it gets: systemd-nspawn over the host's root, in namespaces and a cgroup of its own, with the files that Tandem writes.
#
# usage: raw.sh prepare DIRECTORY FILES UID
#
# Says `prepared` when only systemd-nspawn is missing, waits for a line, and becomes systemd-nspawn. NOTIFY_SOCKET hears when it is ready.
# All namespaces end with it.
set -eu
stage=$1 directory=$2 files=$3 uid=$4
next() { exec "$@" bash "$0" "$stage" "$directory" "$files" "$uid"; }

case "$stage" in
prepare)
    stage=disk
    next unshare --mount
    ;;
disk)
    mount -t tmpfs -o mode=0755 tmpfs "$directory"
    cd "$directory"
    mkdir upper work root
    mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
    rm -rf root/etc/systemd/system
    tar -C root -xf "$files"
    # The kernel counts inotify instances by the creator of a user namespace. This one changes nothing else: all ids stay what they are.
    setpriv --reuid "$uid" --clear-groups --inh-caps +sys_admin --ambient-caps +sys_admin unshare --user sleep infinity &
    until [[ "$(readlink "/proc/$!/exe")" == */sleep ]]; do kill -0 $!; done
    echo 0 0 4294967295 >"/proc/$!/uid_map"
    echo 0 0 4294967295 >"/proc/$!/gid_map"
    exec {userns}<"/proc/$!/ns/user"
    kill $!
    wait $! || true
    stage=boot
    next nsenter "--user=/proc/self/fd/$userns" --setuid 0 --setgid 0 \
        unshare --pid --fork --kill-child --mount --net --mount-proc
    ;;
boot)
    # Mounts of before are locked by the change of user namespace, and systemd-nspawn moves this one.
    mount --rbind "$directory/root" "$directory/root"
    echo prepared
    read -r
    exec systemd-nspawn --quiet --boot --register=no --keep-unit --private-users=no \
        --network-namespace-path=/proc/self/ns/net --capability=CAP_NET_ADMIN --notify-ready=yes --console=read-only \
        --link-journal=no --resolv-conf=off --timezone=off --setenv=SYSTEMD_COLORS=0 \
        --bind=/proc:/run/host/proc --bind=/sys:/run/host/sys --directory="$directory/root" --machine=raw \
        systemd.unit=tandem.target </dev/null 2>&1
    ;;
esac
