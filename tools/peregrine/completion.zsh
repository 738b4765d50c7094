#compdef peregrine
# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of peregrine for zsh: verbs, options, interfaces, and the names of zones when the agent runs. Verbs and what
# they do are those of `peregrine --help`.

_peregrine_verbs() {
	local -a verbs
	verbs=(${(f)"$(_call_program verbs $agent --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *\(.*\)/\1:\2/p')"})
	_describe -t verbs verb verbs
}

_peregrine_zones() {
	local -a zones
	zones=(${(f)"$(_call_program zones $agent --json zone-status 2>/dev/null |
		sed -n 's/^ *"zone": "\(.*\)",\{0,1\}$/\1/p')"})
	_describe -t zones zone zones
}

_peregrine_catalogs() {
	local -a catalogs
	catalogs=(${(f)"$(_call_program catalogs $agent --json catalog-status 2>/dev/null |
		sed -n 's/^ *"catalog": "\(.*\)",\{0,1\}$/\1/p')"})
	_describe -t catalogs catalog catalogs
}

_peregrine() {
	local context state line
	local -a agent common
	typeset -A opt_args
	common=(
		'(-s --socket -c --config)'{-s,--socket}'[control socket of the agent]:socket:_files'
		'(-s --socket -c --config)'{-c,--config}'[configuration of the agent]:file:_files'
		'--json[print the result as JSON]'
		'(-h --help)'{-h,--help}'[tell about the tool, or the verb]'
	)
	agent=(${words[1]})
	local i
	for ((i = 2; i < CURRENT; i++)); do
		case $words[i] in
		-s|--socket|-c|--config) agent+=($words[i] $words[i+1]) ;;
		esac
	done

	_arguments -C $common '(-V --version)'{-V,--version}'[print the version]' '1:verb:_peregrine_verbs' \
		'*:: :->verb' && return
	[[ $state == verb ]] || return 1
	case $words[1] in
	zone-reload|zone-retransfer|refresh|transfer)
		_arguments $common '--wait[return when the zones are served]' \
			'--timeout[wait no longer than this]:seconds:' \
			'--force[serve it even if verification is against it]' '*:zone:_peregrine_zones' ;;
	zone-export) _arguments $common '1:zone:_peregrine_zones' '2:file:_files' ;;
	zone-diff) _arguments $common '1:zone:_peregrine_zones' '2:serial:' ;;
	zone-status) _arguments $common '--problems[what is wrong, with whom, and the way out]' '*:zone:_peregrine_zones' ;;
	catalog-status) _arguments $common '1:catalog:_peregrine_catalogs' ;;
	stats) _arguments $common '1:zone:_peregrine_zones' ;;
	attach) _arguments $common '*:interface:_net_interfaces' ;;
	detach)
		_arguments $common '--pins[where the agent left its pins]:directory:_files -/' \
			'*:interface:_net_interfaces' ;;
	explain)
		_arguments $common '1:name:_peregrine_zones' '2:type:(A AAAA CNAME DS MX NS PTR SOA SRV TXT)' \
			'*:option:(+do +tcp +bufsize=)' ;;
	*) _arguments $common ;;
	esac
}

_peregrine "$@"
