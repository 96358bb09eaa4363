# shellcheck shell=bash
# Completion of dlt645-mqtt in bash: source <(dlt645-mqtt completion bash)
_dlt645_mqtt() {
    local line=${COMP_LINE:0:COMP_POINT} word=${COMP_WORDS[COMP_CWORD]} kept found
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    # bash cuts words at : = and @ too, and puts what it is given in place of the last piece.
    [[ ${#word} == 1 && $COMP_WORDBREAKS == *"$word"* ]] && word=
    kept=${words[${#words[@]} - 1]}
    kept=${kept%"$word"}
    COMPREPLY=()
    while IFS=$'\t' read -r found _; do
        COMPREPLY+=("${found#"$kept"}")
    done < <("$1" completion words "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=:/,] ]] && type compopt &>/dev/null; then
        compopt -o nospace
    fi
}
complete -o default -F _dlt645_mqtt dlt645-mqtt
