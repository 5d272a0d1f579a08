/* A linear classifier fitted in closed form. */
#ifndef CLI_MODEL_RIDGE_H
#define CLI_MODEL_RIDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Ridge regression from features, each standardised, to one column a class (1 where the row is of it, else 0).
 * @param features  rows x columns
 * @param classes   of the rows, each below class_count
 * @param lambda    added to the diagonal of the rows' products
 * @param weights   out, columns x class_count: applies to features as they are, not standardised
 * @param bias      out, class_count
 * @return false when memory ran out
 */
bool ridge_fit(const float *features, const uint32_t *classes, size_t rows, size_t columns, size_t class_count,
               double lambda, float *weights, float *bias);

/** @return how many of the rows have their best score at their class */
size_t ridge_right(const float *features, const uint32_t *classes, size_t rows, size_t columns, size_t class_count,
                   const float *weights, const float *bias);

#endif
