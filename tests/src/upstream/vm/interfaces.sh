#!/bin/bash
# Names and addresses the interfaces that the kernel's command line tells of: test.if=NAME,MAC,ADDRESS...
set -e
for word in $(</proc/cmdline); do
    [[ $word == test.if=* ]] || continue
    IFS=, read -r name mac addresses <<<"${word#test.if=}"
    for interface in /sys/class/net/*; do
        [[ $(<"$interface/address") == "$mac" ]] || continue
        old=${interface##*/}
        [[ $old == "$name" ]] || ip link set dev "$old" down name "$name"
        for address in ${addresses//,/ }; do
            # Nobody else has it, so it can be used at once.
            ip address add "$address" dev "$name" nodad
        done
        ip link set dev "$name" up
    done
done
ip link show dev eth0 >/dev/null 2>&1 || exit 0
ip address add 10.0.2.15/24 dev eth0
ip link set dev eth0 up
