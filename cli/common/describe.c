/* Everything that a person, or a script, may want to know of a model before trusting it with pictures. */
#include "cli/common/describe.h"

#include "base/buf.h"
#include "base/json.h"

#include <inttypes.h>
#include <string.h>

typedef struct totals {
    size_t tensors, numbers, bytes;
} totals;

static totals count_tensors(const cli_model_file *file)
{
    totals t = {.tensors = cli_model_file_tensor_count(file)};
    for (size_t i = 0; i < t.tensors; i++) {
        cli_model_tensor tensor;
        size_t numbers = 1;
        cli_model_file_tensor(file, i, &tensor);
        for (size_t d = 0; d < tensor.rank; d++)
            numbers *= tensor.shape[d];
        t.numbers += numbers;
        t.bytes += tensor.bytes;
    }
    return t;
}

static const char *filter_name(uint32_t filter)
{
    return filter == IMGQ_FILTER_NEAREST ? "nearest" : filter == IMGQ_FILTER_BILINEAR ? "bilinear" : "bicubic";
}

static void print_recipe(FILE *out, const imgq_recipe *r)
{
    fprintf(out, "profile      %s: ", r->profile);
    if (r->resize_short > 0)
        fprintf(out, "shorter side to %" PRIu32, r->resize_short);
    else
        fprintf(out, "squash to %" PRIu32 " x %" PRIu32, r->resize_width, r->resize_height);
    fprintf(out, ", %s, centre %" PRIu32 " x %" PRIu32 ", %s, (x / %g - mean %g %g %g) / std %g %g %g\n",
            filter_name(r->filter), r->crop_width, r->crop_height, r->bgr ? "BGR" : "RGB", (double)r->divisor,
            (double)r->mean[0], (double)r->mean[1], (double)r->mean[2], (double)r->std[0], (double)r->std[1],
            (double)r->std[2]);
}

static void print_tensors(FILE *out, const cli_model_file *file)
{
    for (size_t i = 0; i < cli_model_file_tensor_count(file); i++) {
        cli_model_tensor tensor;
        cli_model_file_tensor(file, i, &tensor);
        fprintf(out, "tensor       %s %s", tensor.name, tensor.dtype);
        for (size_t d = 0; d < tensor.rank; d++)
            fprintf(out, "%s%zu", d == 0 ? " " : "x", tensor.shape[d]);
        fputc('\n', out);
    }
}

bool cli_describe_text(FILE *out, const cli_description *d)
{
    const imgq_model *m = d->model;
    const uint32_t classes = imgq_model_class_count(m);
    const bool is_v1 = imgq_model_layout(m) == IMGQ_LAYOUT_V1;
    const totals t = count_tensors(d->file);
    const char *note = cli_model_file_meta(d->file, "imgq.note");
    fprintf(out, "file         %s\n", d->path);
    fprintf(out, "format       %s\n", cli_model_file_format(d->file));
    fprintf(out, "name         %s\n", imgq_model_name(m));
    if (note != NULL)
        fprintf(out, "note         %s\n", note);
    fprintf(out, "network      ResNet-50 %s\n",
            is_v1 ? "v1 (stride in the first 1x1, as Keras)" : "v1.5 (stride in the 3x3, as PyTorch)");
    fprintf(out, "epsilon      %.6g\n", cli_model_bn_eps(m));
    fprintf(out, "classes      %" PRIu32 ": %s, ... %s\n", classes, imgq_model_label(m, 0),
            imgq_model_label(m, classes - 1));
    print_recipe(out, imgq_model_recipe(m));
    fprintf(out, "tensors      %zu, %zu numbers, %zu bytes\n", t.tensors, t.numbers, t.bytes);
    fprintf(out, "weights      %s\n", imgq_model_hash(m));
    fprintf(out, "file sha256  %s\n", d->sha256);
    if (d->with_tensors)
        print_tensors(out, d->file);
    return fflush(out) == 0 && ferror(out) == 0;
}

/* ,"key":"text" */
static void member(imgq_env *env, iq_buf *line, const char *key, const char *text)
{
    iq_buf_append_format(env, line, ",\"%s\":", key);
    iq_json_write_text(env, line, text);
}

static void write_three(imgq_env *env, iq_buf *line, const char *key, const float values[3])
{
    iq_buf_append_format(env, line, ",\"%s\":[", key);
    for (int i = 0; i < 3; i++) {
        iq_buf_append_text(env, line, i > 0 ? "," : "");
        iq_json_write_float(env, line, values[i]);
    }
    iq_buf_append_text(env, line, "]");
}

static void write_recipe(imgq_env *env, iq_buf *line, const imgq_recipe *r)
{
    iq_buf_append_format(env, line,
                         ",\"recipe\":{\"resize_short\":%" PRIu32 ",\"resize_width\":%" PRIu32
                         ",\"resize_height\":%" PRIu32 ",\"crop_width\":%" PRIu32 ",\"crop_height\":%" PRIu32
                         ",\"filter\":\"%s\",\"bgr\":%s,\"divisor\":",
                         r->resize_short, r->resize_width, r->resize_height, r->crop_width, r->crop_height,
                         filter_name(r->filter), r->bgr ? "true" : "false");
    iq_json_write_float(env, line, r->divisor);
    write_three(env, line, "mean", r->mean);
    write_three(env, line, "std", r->std);
    iq_buf_append_text(env, line, "}");
}

static void write_tensors(imgq_env *env, iq_buf *line, const cli_model_file *file)
{
    iq_buf_append_text(env, line, ",\"tensors\":[");
    for (size_t i = 0; i < cli_model_file_tensor_count(file); i++) {
        cli_model_tensor tensor;
        cli_model_file_tensor(file, i, &tensor);
        iq_buf_append_text(env, line, i > 0 ? ",{\"name\":" : "{\"name\":");
        iq_json_write_text(env, line, tensor.name);
        member(env, line, "dtype", tensor.dtype);
        iq_buf_append_text(env, line, ",\"shape\":[");
        for (size_t d = 0; d < tensor.rank; d++)
            iq_buf_append_format(env, line, "%s%zu", d > 0 ? "," : "", tensor.shape[d]);
        iq_buf_append_text(env, line, "]}");
    }
    iq_buf_append_text(env, line, "]");
}

static void write_labels(imgq_env *env, iq_buf *line, const imgq_model *model)
{
    iq_buf_append_text(env, line, ",\"labels\":[");
    for (uint32_t i = 0; i < imgq_model_class_count(model); i++) {
        iq_buf_append_text(env, line, i > 0 ? "," : "");
        iq_json_write_text(env, line, imgq_model_label(model, i));
    }
    iq_buf_append_text(env, line, "]");
}

bool cli_describe_json(imgq_env *env, FILE *out, const cli_description *d)
{
    iq_buf line = {0};
    const imgq_model *m = d->model;
    const totals t = count_tensors(d->file);
    iq_buf_append_text(env, &line, "{\"schema\":1");
    member(env, &line, "file", d->path);
    member(env, &line, "format", cli_model_file_format(d->file));
    member(env, &line, "name", imgq_model_name(m));
    member(env, &line, "note", cli_model_file_meta(d->file, "imgq.note"));
    member(env, &line, "architecture", "resnet50");
    member(env, &line, "layout", imgq_model_layout(m) == IMGQ_LAYOUT_V1 ? "v1" : "v1.5");
    iq_buf_append_text(env, &line, ",\"bn_eps\":");
    iq_json_write_float(env, &line, (float)cli_model_bn_eps(m));
    iq_buf_append_format(env, &line, ",\"classes\":%" PRIu32, imgq_model_class_count(m));
    member(env, &line, "profile", imgq_model_recipe(m)->profile);
    write_recipe(env, &line, imgq_model_recipe(m));
    iq_buf_append_format(env, &line, ",\"tensor_count\":%zu,\"numbers\":%zu,\"bytes\":%zu", t.tensors, t.numbers,
                         t.bytes);
    member(env, &line, "model_hash", imgq_model_hash(m));
    member(env, &line, "sha256", d->sha256);
    write_labels(env, &line, m);
    if (d->with_tensors)
        write_tensors(env, &line, d->file);
    iq_buf_append_text(env, &line, "}\n");
    const bool ok = !line.failed && fwrite(line.data, 1, line.len, out) == line.len && fflush(out) == 0;
    iq_buf_release(env, &line);
    return ok;
}
