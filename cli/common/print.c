/* The three forms in which answers are printed; docs/man/imgq-submit.1 describes them. */
#include "cli/common/print.h"

#include "base/json.h"

#include <string.h>

static bool has_answer(const cli_answer *answer)
{
    return answer->status == IMGQ_OK && (answer->result != NULL || answer->local != NULL);
}

const char *cli_answer_state(const cli_answer *answer)
{
    if (answer->status == IMGQ_OK)
        return has_answer(answer) ? "ok" : "submitted";
    if (answer->status == IMGQ_E_CANCELLED)
        return "cancelled";
    return answer->status == IMGQ_E_TIMEOUT ? "timeout" : "failed";
}

void cli_write_escaped(FILE *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '\\')
            fputs("\\\\", out);
        else if (*c == '\n')
            fputs("\\n", out);
        else if (*c == '\t')
            fputs("\\t", out);
        else if (*c < 0x20 || *c == 0x7f)
            fprintf(out, "\\x%02x", *c);
        else
            fputc(*c, out);
    }
}

/* Borrowed; NULL: the class has none. */
static const char *label_of(const cli_answer *answer, size_t index)
{
    return answer->local != NULL ? answer->local->labels[index] : imgq_result_label(answer->result, index);
}

static void write_label(FILE *out, const cli_answer *answer, const imgq_prediction *top, size_t index)
{
    const char *label = label_of(answer, index);
    if (label != NULL)
        cli_write_escaped(out, label);
    else
        fprintf(out, "class %u", (unsigned)top[index].class_id);
}

/* Borrowed, as many as are wanted. */
static const imgq_prediction *top_of(const cli_printer *printer, const cli_answer *answer, size_t *count)
{
    *count = 0;
    if (!has_answer(answer))
        return NULL;
    const imgq_prediction *top = answer->local != NULL ? answer->local->top : imgq_result_top(answer->result, count);
    if (answer->local != NULL)
        *count = answer->local->count;
    if (printer->top > 0 && *count > printer->top)
        *count = printer->top;
    return top;
}

/* @return false where nobody told where the answer comes from */
static bool info_of(const cli_answer *answer, imgq_result_info *info)
{
    *info = IMGQ_RESULT_INFO_INIT;
    if (answer->status != IMGQ_OK || !answer->has_classes)
        return false;
    if (answer->local != NULL)
        *info = answer->local->info;
    return answer->local != NULL ||
           (answer->result != NULL && imgq_result_get_info(answer->result, info, NULL) == IMGQ_OK);
}

static void print_text(const cli_printer *printer, const cli_answer *answer)
{
    FILE *out = printer->out;
    size_t count;
    if (answer->status != IMGQ_OK)
        return;
    if (!has_answer(answer)) {
        fprintf(out, "%s\n", answer->id);
        return;
    }
    if (printer->with_names) {
        cli_write_escaped(out, answer->file != NULL ? answer->file : answer->id);
        fputc('\n', out);
    }
    const imgq_prediction *top = top_of(printer, answer, &count);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%zu. ", i + 1);
        write_label(out, answer, top, i);
        fprintf(out, ": %.4f\n", (double)top[i].probability);
    }
}

static void print_tsv_row(FILE *out, const cli_answer *answer, size_t rank)
{
    cli_write_escaped(out, answer->file != NULL ? answer->file : "");
    fprintf(out, "\t%s\t%s\t%zu\t", answer->id != NULL ? answer->id : "", cli_answer_state(answer), rank);
}

static void print_tsv(const cli_printer *printer, const cli_answer *answer)
{
    FILE *out = printer->out;
    size_t count;
    const imgq_prediction *top = top_of(printer, answer, &count);
    if (count == 0) { /* a failure, an id, or a worker without a model: every file has a row */
        print_tsv_row(out, answer, 0);
        fputc('\t', out);
        cli_write_escaped(out, answer->status != IMGQ_OK && answer->message != NULL ? answer->message : "");
        fputs("\t\n", out);
    }
    for (size_t i = 0; i < count; i++) {
        print_tsv_row(out, answer, i + 1);
        if (answer->has_classes && top[i].class_id != IMGQ_CLASS_NONE)
            fprintf(out, "%u", (unsigned)top[i].class_id);
        fputc('\t', out);
        write_label(out, answer, top, i);
        fprintf(out, "\t%.6f\n", (double)top[i].probability);
    }
}

/* ---- JSON ---- */

static void member_text(imgq_env *env, iq_buf *line, const char *key, const char *text)
{
    iq_buf_append_format(env, line, ",\"%s\":", key);
    iq_json_write_text(env, line, text);
}

static void member_double(imgq_env *env, iq_buf *line, const char *comma, const char *key, double value)
{
    iq_buf_append_format(env, line, "%s\"%s\":", comma, key);
    iq_json_write_fixed(env, line, value, 3);
}

static void write_predictions(const cli_printer *printer, iq_buf *line, const cli_answer *answer)
{
    imgq_env *env = printer->env;
    size_t count;
    const imgq_prediction *top = top_of(printer, answer, &count);
    iq_buf_append_text(env, line, ",\"predictions\":[");
    for (size_t i = 0; i < count; i++) {
        iq_buf_append_text(env, line, i > 0 ? ",{\"class\":" : "{\"class\":");
        if (answer->has_classes && top[i].class_id != IMGQ_CLASS_NONE)
            iq_buf_append_format(env, line, "%u", (unsigned)top[i].class_id);
        else
            iq_buf_append_text(env, line, "null");
        member_text(env, line, "label", label_of(answer, i));
        iq_buf_append_text(env, line, ",\"probability\":");
        iq_json_write_float(env, line, top[i].probability);
        iq_buf_append_text(env, line, "}");
    }
    iq_buf_append_text(env, line, "]");
}

static void write_error(imgq_env *env, iq_buf *line, imgq_status status, const char *message)
{
    iq_buf_append_text(env, line, ",\"error\":");
    if (status == IMGQ_OK) {
        iq_buf_append_text(env, line, "null");
        return;
    }
    iq_buf_append_text(env, line, "{\"code\":");
    iq_json_write_text(env, line, imgq_status_name(status));
    member_text(env, line, "message", message != NULL ? message : "");
    iq_buf_append_text(env, line, "}");
}

static void write_provenance(imgq_env *env, iq_buf *line, const cli_answer *answer)
{
    imgq_result_info info;
    if (!info_of(answer, &info))
        return;
    const struct {
        const char *key, *text;
    } texts[] = {{"model", info.model},   {"model_hash", info.model_hash}, {"profile", info.profile},
                 {"engine", info.engine}, {"precision", info.precision},   {"worker", info.worker}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        member_text(env, line, texts[i].key, texts[i].text != NULL && *texts[i].text != '\0' ? texts[i].text : NULL);
    iq_buf_append_format(env, line, ",\"attempt\":%u,\"batch\":%u,\"exif\":{\"orientation\":%u,\"applied\":%s}",
                         (unsigned)info.attempt, (unsigned)info.batch, (unsigned)info.exif_orientation,
                         info.exif_applied ? "true" : "false");
}

static void write_times(imgq_env *env, iq_buf *line, const cli_answer *answer)
{
    imgq_result_info info;
    const char *comma = "";
    iq_buf_append_text(env, line, ",\"times_ms\":{");
    if (info_of(answer, &info)) {
        if (answer->local == NULL) { /* what was never queued did not wait */
            member_double(env, line, "", "queue", info.queue_ms);
            comma = ",";
        }
        member_double(env, line, comma, "decode", info.decode_ms);
        member_double(env, line, ",", "compute", info.compute_ms);
        comma = ",";
    }
    if (answer->total_ms >= 0)
        member_double(env, line, comma, "total", answer->total_ms);
    iq_buf_append_text(env, line, "}");
}

/* @param line released here */
static bool write_out(const cli_printer *printer, iq_buf *line)
{
    const bool ok = !line->failed && fwrite(line->data, 1, line->len, printer->out) == line->len;
    iq_buf_release(printer->env, line);
    return ok;
}

static bool print_json(const cli_printer *printer, const cli_answer *answer)
{
    imgq_env *env = printer->env;
    iq_buf line = {0};
    iq_buf_append_text(env, &line, "{\"schema\":1");
    member_text(env, &line, "file", answer->file);
    member_text(env, &line, "id", answer->id);
    member_text(env, &line, "status", cli_answer_state(answer));
    write_predictions(printer, &line, answer);
    write_error(env, &line, answer->status, answer->message);
    member_text(env, &line, "queue", answer->queue);
    write_provenance(env, &line, answer);
    write_times(env, &line, answer);
    iq_buf_append_text(env, &line, "}\n");
    return write_out(printer, &line);
}

bool cli_print_answer(const cli_printer *printer, const cli_answer *answer)
{
    bool ok = true;
    if (printer->format == CLI_JSON_FORMAT)
        ok = print_json(printer, answer);
    else if (printer->format == CLI_TSV_FORMAT)
        print_tsv(printer, answer);
    else
        print_text(printer, answer);
    return fflush(printer->out) == 0 && ok && ferror(printer->out) == 0;
}

bool cli_print_cancel(const cli_printer *printer, const char *id, imgq_status status, const char *message)
{
    bool ok = true;
    if (printer->format == CLI_JSON_FORMAT) {
        iq_buf line = {0};
        iq_buf_append_text(printer->env, &line, "{\"schema\":1");
        member_text(printer->env, &line, "id", id);
        member_text(printer->env, &line, "status", status == IMGQ_OK ? "cancelled" : "failed");
        write_error(printer->env, &line, status, message);
        iq_buf_append_text(printer->env, &line, "}\n");
        ok = write_out(printer, &line);
    } else if (status == IMGQ_OK || printer->format == CLI_TSV_FORMAT) {
        cli_write_escaped(printer->out, id);
        fprintf(printer->out, "\t%s\n", status == IMGQ_OK ? "cancelled" : "failed");
    }
    return fflush(printer->out) == 0 && ok && ferror(printer->out) == 0;
}
