# Made by BLESS=1 cargo test --lib manual
_pushline() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local words one command=
    case $before in
        --config) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
        --listen) mapfile -t COMPREPLY < <(true) && return ;;
        --output) mapfile -t COMPREPLY < <(true) && return ;;
        --route-prefix) mapfile -t COMPREPLY < <(true) && return ;;
        --job) mapfile -t COMPREPLY < <(true) && return ;;
        --label) mapfile -t COMPREPLY < <(true) && return ;;
        --format) mapfile -t COMPREPLY < <(compgen -W 'text openmetrics protobuf' -- "$word") && return ;;
        --coding) mapfile -t COMPREPLY < <(compgen -W 'identity gzip deflate snappy' -- "$word") && return ;;
        --time) mapfile -t COMPREPLY < <(true) && return ;;
        --dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return ;;
    esac
    for one in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $one in convert | spool) command=$one && break ;; esac
    done
    case $command in
        spool) words='--config --dir -h --help list print' ;;
        convert) words='--config --route-prefix --job --label --format --coding --time -h --help' ;;
        *) words='--config --listen --output --check --print-config -V --version -h --help convert spool' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    [[ $command != convert || $word == -* ]] || mapfile -t COMPREPLY < <(compgen -f -- "$word")
}
complete -o filenames -F _pushline pushline
