#pragma once

#include <span>

#include "kernels/view.hpp"

/// One lookup in many tables.
namespace tartan::kernels {

/// The rows [first_row, first_row + table.rows) of a table, whose rows go to the columns from `out_column` on.
template <class T>
struct TableColumns {
  Matrix<const T> table;
  Index first_row;
  Index out_column;
};

/// Row i of `out` gets, for each table f of F, row ids[i · F + f] of that table in the columns
/// [out_column, out_column + table.columns): gather_rows() of every column of ids, in one pass over the batch. `ids`
/// has out.rows · F entries. The tables' columns in `out` must not overlap; others are left as they are.
template <class T, class I>
void gather_tables(Cpu, std::span<const TableColumns<T>> tables, const I* ids, Matrix<T> out);
template <class T, class I>
void gather_tables(Cuda, std::span<const TableColumns<T>> tables, const I* ids, Matrix<T> out);

}  // namespace tartan::kernels
