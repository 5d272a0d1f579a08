/* Answers on stdout: text as the reference client prints it, one JSON object a line, or tab-separated. */
#ifndef CLI_COMMON_PRINT_H
#define CLI_COMMON_PRINT_H

#include <stdbool.h>
#include <stdio.h>

#include <imgq/queue.h>

enum { CLI_TEXT_FORMAT, CLI_JSON_FORMAT, CLI_TSV_FORMAT }; /* "text|json|tsv" */
#define CLI_FORMAT_CHOICES "text|json|tsv"

/** An answer that this process found itself, without a queue. */
typedef struct cli_local {
    const imgq_prediction *top;
    const char *const *labels; /* of top */
    size_t count;
    imgq_result_info info;
} cli_local;

/** What became of one file. */
typedef struct cli_answer {
    const char *file;          /* as the user named it; NULL: not known (an id was awaited) */
    const char *id;            /* NULL: it never was a job */
    imgq_status status;        /* IMGQ_OK: answered (with result), or accepted (without) */
    const char *message;       /* why not */
    const imgq_result *result; /* NULL: none */
    const cli_local *local;    /* NULL: the answer, if any, is in result */
    const char *queue;         /* NULL: none */
    bool has_classes;          /* false: the wire told labels only, and nothing of where they come from */
    double total_ms;           /* from submit to answer as the caller saw it; < 0: not known */
} cli_answer;

typedef struct cli_printer {
    imgq_env *env; /* for the memory of lines, borrowed */
    FILE *out;
    int format;      /* CLI_..._FORMAT */
    bool with_names; /* text: a line with the file's name before its answers */
    size_t top;      /* predictions at most; 0: all there are */
} cli_printer;

/** One file's answer, flushed. Text prints nothing for a failure: that is stderr's. @return false if stdout is gone */
bool cli_print_answer(const cli_printer *printer, const cli_answer *answer);
/** What became of an attempt to cancel a job. @param message of a failure @return false if stdout is gone */
bool cli_print_cancel(const cli_printer *printer, const char *id, imgq_status status, const char *message);
/** "ok", "submitted", "cancelled", "timeout", "failed": the field `status` of JSON and tsv. Static. */
const char *cli_answer_state(const cli_answer *answer);
/** A name in one line: control characters as \n, \t, \xNN; backslashes doubled. */
void cli_write_escaped(FILE *out, const char *text);

#endif
