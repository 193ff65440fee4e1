#!/usr/bin/env bash
# Evaluates the modules with nixpkgs' own module system and compares what they make of options: check-modules.sh LIB, where LIB is the directory
# `lib` of nixpkgs or what contains it. Builds nothing and needs no other part of nixpkgs.
set -euo pipefail

[[ $# = 1 && -d $1 ]] || {
    echo "usage: $0 LIB, the directory \`lib\` of nixpkgs" >&2
    exit 2
}
library=$(cd "$1" && pwd)
[[ -e $library/modules.nix || -e $library/lib/modules.nix ]] || {
    echo "$0: $library is not the directory \`lib\` of nixpkgs: it has no modules.nix" >&2
    exit 2
}
cd "$(dirname "$0")"

value() {
    nix-instantiate --eval --strict --json check-modules --arg library "$library" -A "$1"
}

bad=0
failed=$(value failed)
[[ $failed == "[]" ]] || {
    echo "these came out otherwise: $failed"
    bad=1
}
count=$(value count)

refusals=$(value refusals)
refusals=${refusals#\"} refusals=${refusals%\"}
while IFS=' ' read -r name message; do
    count=$((count + 1))
    if said=$(value "refused.$name.value" 2>&1); then
        echo "$name: evaluates, to $said"
        bad=1
    elif [[ $said != *"$message"* ]]; then
        echo "$name: does not say \"$message\": $said"
        bad=1
    fi
done < <(printf '%b' "${refusals//\\\"/\"}")

[[ $bad = 0 ]] && echo "$count cases of the modules come out as they should"
exit $bad
