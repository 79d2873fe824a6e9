# shellcheck shell=bash
# Functions shared by the scripts. Sourced, not run; must work with bash 3.2 (macOS).

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

need_rust() {
  has cargo || die "Rust is missing: install it from https://rustup.rs, open a new shell, and run this again"
}

port_in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first free port, from $1 upwards.
free_port() {
  local port=$1
  while port_in_use "$port"; do port=$((port + 1)); done
  echo "$port"
}

# The service's name, from the only file that contains it.
service_name() { sed -n 's/^name = "\(.*\)"$/\1/p' services/api/config/default.toml; }

# The prefix of the image names.
image_name() { sed -n 's/.*name: api, newName: "\(.*\)-api".*/\1/p' k8s/components/names/kustomization.yaml; }

# Whether the binary $1 has the command $2. A service without jobs has no commands for them.
has_command() {
  local help
  help=$("$1" --help) || die "$1 --help fails; the reason is above"
  case $help in *"
  $2 "* | *"
  $2"$'\n'*) ;; *) return 1 ;; esac
}
