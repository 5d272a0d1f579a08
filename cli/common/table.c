#include "cli/common/table.h"

#include <libsmartcols.h>

#include <stdio.h>
#include <stdlib.h>

struct cli_table {
    struct libscols_table *rows;
    size_t columns;
};

cli_table *cli_table_create(const cli_column *columns, size_t count)
{
    cli_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->columns = count;
    table->rows = scols_new_table();
    bool ok = table->rows != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        const int flags = (columns[i].right ? SCOLS_FL_RIGHT : 0) | (columns[i].last ? SCOLS_FL_TRUNC : 0);
        ok = scols_table_new_column(table->rows, columns[i].title, columns[i].last ? 0.2 : 1, flags) != NULL;
    }
    if (!ok) {
        cli_table_destroy(table);
        return NULL;
    }
    return table;
}

bool cli_table_add(cli_table *table, const char *const *texts)
{
    struct libscols_line *line = scols_table_new_line(table->rows, NULL);
    for (size_t i = 0; line != NULL && i < table->columns; i++)
        if (scols_line_set_data(line, i, texts[i]) != 0)
            return false;
    return line != NULL;
}

bool cli_table_print(cli_table *table)
{
    return scols_print_table(table->rows) == 0 && fflush(stdout) == 0;
}

void cli_table_destroy(cli_table *table)
{
    if (table == NULL)
        return;
    scols_unref_table(table->rows);
    free(table);
}
