# Two network namespaces that reach each other without Tandem, and a program of lan.py in each.
#
# usage: lan.sh bridge|vde DIRECTORY PYTHON LAN.PY SECONDS COUNT
#
# `bridge` is a plain bridge of the kernel's. `vde` is upstream's way: a vde_switch that sends everything everywhere, and taps.
#
# It must be the first process of a pid namespace, in mount and network namespaces of its own: all that it makes ends with it.
set -eu
kind=$1 directory=$2 python=$3 program=$4 seconds=$5 count=$6

# What vde_switch leaves lies here.
mount -t tmpfs -o mode=0700 tmpfs "$directory"

holders=()
for _ in 1 2; do
    unshare --net sleep infinity &
    until [[ "$(readlink "/proc/$!/exe")" == */sleep ]]; do kill -0 $!; done
    holders+=($!)
done
inside() {
    local number=$1
    shift
    nsenter --net="/proc/${holders[number - 1]}/ns/net" "$@"
}

case "$kind" in
bridge)
    ip link add bridge type bridge
    ip link set bridge up
    for number in 1 2; do
        ip link add "port$number" type veth peer name eth1 netns "${holders[number - 1]}"
        ip link set "port$number" master bridge up
    done
    ;;
vde)
    # It ends with its standard input.
    sleep infinity | vde_switch --hub --sock "$directory/switch" --dirmode 0700 >&2 &
    until [[ -e "$directory/switch/ctl" ]]; do kill -0 $!; done
    for number in 1 2; do
        inside $number vde_plug2tap --sock "$directory/switch" eth1 >&2 &
        until inside $number ip link show eth1 >/dev/null 2>&1; do kill -0 $!; done
    done
    ;;
esac
for number in 1 2; do
    inside $number ip address add "10.0.0.$number/24" dev eth1
    inside $number ip link set eth1 up
done

inside 2 "$python" "$program" serve >&2 &
inside 1 "$python" "$program" measure 10.0.0.2 "$seconds" "$count"
