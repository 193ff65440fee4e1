# For scripts that a build runs: the tools that they call are `$programs`, and behind those what `$shell` itself has, if it is a busybox.
PATH=$programs
case ${shell##*/} in
busybox*)
    applets=${NIX_BUILD_TOP:?}/.applets
    [ -d "$applets" ] || { "$shell" mkdir "$applets" && "$shell" --install -s "$applets"; }
    PATH=$PATH${PATH:+:}$applets
    ;;
esac
