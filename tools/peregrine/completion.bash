# SPDX-License-Identifier: GPL-3.0-or-later
# Completion of peregrine for bash: verbs, options, interfaces, and the names of zones when the agent runs.

_peregrine_zones() {
	"${agent[@]}" --json zone-status 2>/dev/null | sed -n 's/^ *"zone": "\(.*\)",\{0,1\}$/\1/p'
}

_peregrine_catalogs() {
	"${agent[@]}" --json catalog-status 2>/dev/null | sed -n 's/^ *"catalog": "\(.*\)",\{0,1\}$/\1/p'
}

_peregrine() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb='' words='' i
	local agent=("${COMP_WORDS[0]}")
	local verbs='status zone-status catalog-status zone-reload zone-retransfer zone-export zone-diff reload stats attach detach'
	verbs+=' explain refresh transfer'
	COMPREPLY=()
	case $previous in
	-s|--socket|-c|--config)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return ;;
	--pins)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return ;;
	--timeout)
		return ;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s|--socket|-c|--config) agent+=("${COMP_WORDS[i]}" "${COMP_WORDS[i+1]}"); ((i++)) ;;
		--pins|--timeout) ((i++)) ;;
		-*) ;;
		*) [[ $verb ]] || verb=${COMP_WORDS[i]} ;;
		esac
	done
	if [[ $current == -* ]]; then
		words='--socket --config --json --help'
		case $verb in
		zone-reload|zone-retransfer|refresh|transfer) words+=' --wait --timeout --force' ;;
		zone-status) words+=' --problems' ;;
		detach) words+=' --pins' ;;
		'') words+=' --version' ;;
		esac
	elif [[ $current == +* ]]; then
		[[ $verb != explain ]] || words='+do +tcp +bufsize='
	else
		case $verb in
		'') words=$verbs ;;
		catalog-status) words=$(_peregrine_catalogs) ;;
		zone-*|refresh|transfer|stats) words=$(_peregrine_zones) ;;
		explain) words="$(_peregrine_zones) A AAAA CNAME DS MX NS PTR SOA SRV TXT" ;;
		attach|detach) words=$(command ls /sys/class/net 2>/dev/null) ;;
		esac
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _peregrine peregrine
