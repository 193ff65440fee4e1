# What nixpkgs' stdenv and its hooks are for the commands of package.nix.
set -euo pipefail

runHook() { :; }

# installShellCompletion --cmd NAME --SHELL FILE...
installShellCompletion() {
    local name='' place
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --cmd) name=$2 ;;
        --bash) place=share/bash-completion/completions/$name.bash ;;&
        --fish) place=share/fish/vendor_completions.d/$name.fish ;;&
        --zsh) place=share/zsh/site-functions/_$name ;;&
        --bash | --fish | --zsh) install -D --mode=644 "$2" "$out/$place" ;;
        *) echo "installShellCompletion: $1" >&2 && return 1 ;;
        esac
        shift 2
    done
}

# installManPage PAGE...
installManPage() {
    local page
    for page; do
        install -D --mode=644 "$page" "$out/share/man/man${page##*.}/$page"
    done
}

# makeWrapper PROGRAM WRAPPER [--argv0 NAME] [--prefix|--suffix VARIABLE SEPARATOR VALUE]...
makeWrapper() {
    local program=$1 wrapper=$2 name=''
    shift 2
    [[ -x $program && ! -e $wrapper ]] || return 1
    echo '#!/bin/bash' >"$wrapper"
    while [[ $# -gt 0 ]]; do
        case "$1" in
        --argv0) name=$2 && shift 2 ;;
        --prefix) echo "export $2=$4\${$2:+$3}\${$2-}" >>"$wrapper" && shift 4 ;;
        --suffix) echo "export $2=\${$2-}\${$2:+$3}$4" >>"$wrapper" && shift 4 ;;
        *) echo "makeWrapper: $1" >&2 && return 1 ;;
        esac
    done
    echo "exec -a ${name:-'"$0"'} $program \"\$@\"" >>"$wrapper"
    chmod +x "$wrapper"
}
