# shellcheck shell=bash
# Steps with a heading and their seconds. To be sourced; a script that took its steps ends with `finish`.

failed=()

# step TITLE COMMAND...: a step that fails is told, and the next ones are taken all the same.
step() {
    local title=$1 began=$SECONDS verdict=passed
    shift
    printf '\n== %s\n' "$title"
    "$@" || {
        verdict=FAILED
        failed+=("$title")
    }
    printf '== %s: %s after %d s\n' "$title" "$verdict" $((SECONDS - began))
}

finish() {
    local title
    for title in "${failed[@]}"; do
        printf 'failed: %s\n' "$title"
    done
    exit $((${#failed[@]} > 0))
}
