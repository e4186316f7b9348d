# Debian packages by purpose, and need_packages, which installs those that are missing. To be sourced.
# openssh-client: Open MPI's mpiexec asks for it even where it starts ranks on this machine only.

build_packages=(cmake g++ gcc ninja-build libc6-dev libeigen3-dev libfmt-dev libopenmpi-dev openmpi-bin openssh-client)
example_packages=(libcxxopts-dev libicu-dev)
corpus_packages=(bible-kjv bible-kjv-text)
test_packages=(catch2 libboost-context-dev libbenchmark-dev pkg-config)
check_packages=(clang-format clang-tidy git)

# need_packages PACKAGE... : returns at once where all are there; stops the script where one is missing and may not be
# installed.
need_packages() {
  if ! command -v dpkg-query >/dev/null; then
    echo "no Debian packages here: the equivalents of $* are taken to be installed" >&2
    return
  fi
  local missing=() package
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  local as_root=()
  if ((EUID != 0)); then
    if command -v sudo >/dev/null && { sudo -n apt-get --version >/dev/null 2>&1 || [[ -t 0 ]]; }; then
      as_root=(sudo)
    else
      echo "These packages are missing, and installing them takes root. Run" >&2
      echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
      exit 1
    fi
  fi
  echo "installing ${missing[*]}"
  if ! { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"; }; then
    echo "apt-get failed; this script needs the packages ${missing[*]}" >&2
    exit 1
  fi
}
