# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of peregrine for fish: verbs, options, interfaces, and the names of zones when the agent runs. Verbs and
# what they do are those of `peregrine --help`.

# The command line's own way to the agent.
function __peregrine_agent
    set -l words (commandline -opc)
    echo $words[1]
    for i in (seq 2 (math (count $words) - 1))
        contains -- $words[$i] -s --socket -c --config
        and printf '%s\n' $words[$i] $words[(math $i + 1)]
    end
end

function __peregrine_verbs
    set -l agent (__peregrine_agent)
    $agent[1] --help 2>/dev/null | string replace -rf '^  ([a-z][a-z-]*) +(.*)' '$1\t$2'
end

function __peregrine_zones
    set -l agent (__peregrine_agent)
    $agent --json zone-status 2>/dev/null | string replace -rf '^ *"zone": "(.*)",?$' '$1'
end

function __peregrine_catalogs
    set -l agent (__peregrine_agent)
    $agent --json catalog-status 2>/dev/null | string replace -rf '^ *"catalog": "(.*)",?$' '$1'
end

# The verb that stands on the command line, if it is one of those named; any, when none is named.
function __peregrine_verb
    set -l words (commandline -opc)[2..]
    while set -q words[1]
        switch $words[1]
            case -s --socket -c --config --pins --timeout
                set -e words[1]
            case '-*'
            case '*'
                test (count $argv) -eq 0; or contains -- $words[1] $argv
                return
        end
        set -e words[1]
    end
    return 1
end

complete -c peregrine -f
complete -c peregrine -s s -l socket -rF -d 'control socket of the agent'
complete -c peregrine -s c -l config -rF -d 'configuration of the agent'
complete -c peregrine -l json -d 'print the result as JSON'
complete -c peregrine -s h -l help -d 'tell about the tool, or the verb'
complete -c peregrine -s V -l version -n 'not __peregrine_verb' -d 'print the version'
complete -c peregrine -n 'not __peregrine_verb' -a '(__peregrine_verbs)'

set -l refresh zone-reload zone-retransfer refresh transfer
complete -c peregrine -n "__peregrine_verb $refresh" -l wait -d 'return when the zones are served'
complete -c peregrine -n "__peregrine_verb $refresh" -l force -d 'serve it even if verification is against it'
complete -c peregrine -n "__peregrine_verb zone-status" -l problems -d 'what is wrong, with whom, and the way out'
complete -c peregrine -n "__peregrine_verb $refresh" -l timeout -x -d 'wait no longer than this, in seconds'
complete -c peregrine -n "__peregrine_verb $refresh zone-status zone-export zone-diff stats explain" -a '(__peregrine_zones)'
complete -c peregrine -n '__peregrine_verb zone-export' -F
complete -c peregrine -n '__peregrine_verb catalog-status' -a '(__peregrine_catalogs)'
complete -c peregrine -n '__peregrine_verb attach detach' -a '(command ls /sys/class/net 2>/dev/null)'
complete -c peregrine -n '__peregrine_verb detach' -l pins -xa '(__fish_complete_directories)' -d 'where the agent left its pins'
complete -c peregrine -n '__peregrine_verb explain' -a 'A AAAA CNAME DS MX NS PTR SOA SRV TXT +do +tcp +bufsize='
