#!/usr/bin/env bash
# Trains word vectors on several grids and prints the rate, and the bytes that all ranks send per corpus word beside
#   [4·V·D·4·(P_d−1)·steps + 8·targets·(P_M−1)] / words
# (tables of V rows and D columns; a target is a context word or a negative): the ratio must be 1.
set -euo pipefail

usage="usage: word_vectors.sh [BUILD-FOLDER [EPOCHS [CORPUS]]]"
case "${1-}" in -*) echo "$usage" >&2; exit 2 ;; esac
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${1:-$here/build}
epochs=${2:-1}
corpus=${3:-$build/kjv.txt}
program=$build/examples/word_vectors
[[ -x $program ]] || { echo "word_vectors.sh: no program $program; $usage" >&2; exit 1; }
[[ -f $corpus ]] || "$here/scripts/make_corpus" "$corpus"

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none
oversubscribe=
if mpiexec --version | grep -Eq 'Open MPI|OpenRTE|PRRTE'; then oversubscribe=--oversubscribe; fi

output=$(mktemp)
trap 'rm -f "$output"' EXIT
echo "epochs $epochs, TARTAN_CHECKS=${TARTAN_CHECKS:-local}, $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)"
printf '%-7s %9s %14s %14s %9s %8s\n' grid words/s 'bytes/word' 'by formula' ratio loss
status=0
for grid in 1x1x1 1x1x2 2x1x1 2x1x4; do
  timeout -k 5 1800 mpiexec $oversubscribe -n $((${grid//x/*})) \
    "$program" --grid "$grid" --exchange table --output none --corpus "$corpus" --epochs "$epochs" >"$output"
  awk -v grid="$grid" -v epochs="$epochs" '
    function number(pattern) {
      match($0, pattern)
      pattern = substr($0, RSTART, RLENGTH)
      gsub(/[^0-9]/, "", pattern)
      return pattern
    }
    / words with vectors of / { words = number(": [0-9]+ words in"); V = number("[0-9]+ words with")
                                D = number("vectors of [0-9]+ on a") }
    /^trained in /            { steps = $3; targets = $6; bytes = $8 }
    /^final loss /            { loss = $3; rate = $4 }
    END {
      split(grid, P, "x")
      formula = 16 * V * D * (P[1] - 1) * steps + 8 * targets * (P[3] - 1)
      ratio = formula > 0 ? bytes / formula : 1 + bytes
      n = words * epochs
      printf "%-7s %9d %14.2f %14.2f %9.7f %8.4f\n", grid, rate, bytes / n, formula / n, ratio, loss
      exit bytes != formula
    }' "$output" || status=1
done
exit $status
