#include <imgq/status.h>
#include <imgq/version.h>

#include <stddef.h>

typedef struct status_row {
    imgq_status status;
    const char *name;
    int exit_code, http;
    bool retryable;
} status_row;

#define STATUS_ROW(name, number, exit_code, http, retryable) {(number), #name, (exit_code), (http), (retryable) != 0},
static const status_row rows[] = {IMGQ_STATUS_LIST(STATUS_ROW)};
#undef STATUS_ROW

static const status_row *row_of(imgq_status status)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status == status)
            return &rows[i];
    return NULL;
}

const char *imgq_status_name(imgq_status status)
{
    const status_row *row = row_of(status);
    return row != NULL ? row->name : "IMGQ_E_?";
}

bool imgq_status_is_retryable(imgq_status status)
{
    const status_row *row = row_of(status);
    return row != NULL && row->retryable;
}

int imgq_status_exit_code(imgq_status status)
{
    const status_row *row = row_of(status);
    return row != NULL ? row->exit_code : 1;
}

int imgq_status_http(imgq_status status)
{
    const status_row *row = row_of(status);
    return row != NULL ? row->http : 500;
}

const char *imgq_version(void)
{
    return IMGQ_VERSION_STRING;
}
