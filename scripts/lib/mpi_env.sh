# What Open MPI needs where ranks outnumber cores. Other MPI libraries ignore it. To be sourced.

export OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1             # waiting ranks leave the core to the others: 100 times faster on few cores
export OMPI_MCA_hwloc_base_binding_policy=none
if ((EUID == 0)); then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
