/* Rows for a person: columns as wide as their text, on stdout. */
#ifndef CLI_COMMON_TABLE_H
#define CLI_COMMON_TABLE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_table cli_table;

typedef struct cli_column {
    const char *title;
    bool right; /* numbers */
    bool last;  /* cut when the terminal is too narrow */
} cli_column;

/** Owned, cli_table_destroy(). @return NULL when memory ran out */
cli_table *cli_table_create(const cli_column *columns, size_t count);
/** One row; texts are copied. @return false when memory ran out */
bool cli_table_add(cli_table *table, const char *const *texts);
/** @return false when it could not be written */
bool cli_table_print(cli_table *table);
void cli_table_destroy(cli_table *table);

#endif
