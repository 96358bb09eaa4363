#compdef dlt645-mqtt
# Completion of dlt645-mqtt in zsh: source <(dlt645-mqtt completion zsh), behind compinit; or as the file
# _dlt645-mqtt in a folder of fpath.
_dlt645_mqtt() {
    local line
    local -a found open
    for line in "${(@f)$("${(Q)words[1]}" completion words "${(@Q)words[1,CURRENT-1]}" "$PREFIX" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        if [[ ${line%%$'\t'*} == *[=:/,] ]]; then
            open+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        else
            found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        fi
    done
    if (( ${#found} + ${#open} )); then
        _describe dlt645-mqtt found -- open -S ''
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _dlt645-mqtt ]]; then
    _dlt645_mqtt "$@"
else
    compdef _dlt645_mqtt dlt645-mqtt
fi
