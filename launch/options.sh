# Options of the launch scripts; each sources this and has a function `usage`.

fail() { # what
  echo "error: $1; command line; see launch/${0##*/} --help" >&2
  exit 2
}

# Reads options until --; what stands after it is left in the array `rest`.
#   $1: names, with spaces between: `name=` sets the variable of that name to the value
#       of --name=VALUE, and `name` to 1 where --name is given.
#   the rest: the command line.
parse_options() {
  local known=" $1 " option
  shift
  while (($#)); do
    option=${1#--}
    option=${option%%=*}
    case $1 in
      -h | --help) usage; exit 0 ;;
      --) shift; break ;;
      --*=*)
        [[ $known == *" $option= "* ]] || fail "unknown option $1"
        printf -v "$option" %s "${1#*=}"
        ;;
      --*)
        [[ $known == *" $option "* ]] || fail "unknown option $1"
        printf -v "$option" 1
        ;;
      *) fail "unknown option $1" ;;
    esac
    shift
  done
  rest=("$@")
}

need_flags() {
  ((${#rest[@]})) || fail "no flags of main after --"
}

# Runs a command, or prints it with --dry_run.
run() {
  if ((dry_run)); then
    printf '%q ' "$@"
    echo
  else
    "$@"
  fi
}
