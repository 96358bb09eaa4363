# Completion of dlt645-mqtt in fish: dlt645-mqtt completion fish | source
function __dlt645_mqtt_complete
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l found ($words[1] completion words $words "$last" 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path "$last"
    end
end
complete -c dlt645-mqtt -f -a '(__dlt645_mqtt_complete)'
