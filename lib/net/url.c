#include "net/url.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/fail.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

/* A stretch of the text, not terminated. */
typedef struct span {
    const char *at;
    size_t len;
} span;

static span cut_before(span *rest, const char *stops)
{
    size_t len = 0;
    while (len < rest->len && strchr(stops, rest->at[len]) == NULL)
        len++;
    const span head = {rest->at, len};
    rest->at += len;
    rest->len -= len;
    return head;
}

static bool find_last(span text, char c, size_t *at)
{
    for (size_t i = text.len; i > 0; i--)
        if (text.at[i - 1] == c) {
            *at = i - 1;
            return true;
        }
    return false;
}

/* Where a text that could not be read may hide a password: before the last '@', else behind a ':' that no port follows,
 * wherever its writer thought that it ends. @return first character that may be shown again; NULL: nothing to hide */
static const char *find_secret(const char *start, const char **from)
{
    const char *at = strrchr(start, '@'), *colon = strchr(start, ':');
    *from = start;
    if (at != NULL)
        return at;
    if (*start == '[' || *start == '/' || colon == NULL)
        return NULL;
    *from = colon + 1;
    const size_t digits = strspn(colon + 1, "0123456789");
    const char after = colon[1 + digits];
    return after == '\0' || after == '/' || after == '?' ? NULL : colon + strlen(colon);
}

static const char *masked(const char *text, char *out, size_t out_size)
{
    /* What stands before a later "://" is no scheme, and may be a user and a password. */
    const size_t scheme_len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    const bool has_scheme = strncmp(text + scheme_len, "://", 3) == 0;
    const char *secret, *resume = find_secret(has_scheme ? text + scheme_len + 3 : text, &secret);
    size_t len = 0;
    for (const char *from = text; len + 4 < out_size; from++) {
        if (from == secret && resume != NULL) {
            memcpy(out + len, "***", 3);
            len += 3;
            from = resume;
        }
        if (*from == '\0' || *from == '?' || *from == '#')
            break;
        out[len++] = *from > 0x20 && *from < 0x7f ? *from : '?';
    }
    out[len] = '\0';
    return out;
}

static imgq_status bad(imgq_error *err, const char *text, const char *why)
{
    char shown[128];
    return iq_fail(err, IMGQ_E_INVALID, 0, "URL \"%s\": %s", masked(text, shown, sizeof shown), why);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* @param out owned; NULL unless true. @param why set where the text is wrong, else memory ran out */
static bool decode(imgq_env *env, span text, char **out, const char **why)
{
    char *decoded = iq_alloc(env, text.len + 1);
    *out = NULL;
    if (decoded == NULL)
        return false;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '%') {
            const int high = i + 2 < text.len ? hex_digit(text.at[i + 1]) : -1;
            const int low = i + 2 < text.len ? hex_digit(text.at[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0)) {
                *why = "a % is not followed by two hex digits, or means a zero byte";
                iq_free(env, decoded);
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        decoded[len++] = c;
    }
    decoded[len] = '\0';
    *out = decoded;
    return true;
}

static bool parse_number(span text, uint32_t max, uint32_t *out)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text.at[i] - '0');
        if (number > max)
            return false;
    }
    *out = (uint32_t)number;
    return text.len > 0;
}

/* [[user]:pass@] at the head of an authority; what follows it stays in *authority. */
static bool parse_userinfo(imgq_env *env, span *authority, iq_url *out, const char **why)
{
    size_t at;
    if (!find_last(*authority, '@', &at))
        return true;
    span pass = {authority->at, at};
    authority->at += at + 1;
    authority->len -= at + 1;
    const span user = cut_before(&pass, ":");
    if (user.len > 0 && !decode(env, user, &out->user, why))
        return false;
    if (pass.len > 1) {
        const span secret = {pass.at + 1, pass.len - 1};
        return decode(env, secret, &out->pass, why);
    }
    return true;
}

/* host, host:port, [v6], [v6]:port or nothing. */
static bool parse_host(imgq_env *env, span authority, iq_url *out, const char **why)
{
    span host;
    uint32_t port = IQ_URL_PORT;
    if (authority.len > 0 && authority.at[0] == '[') {
        authority.at++;
        authority.len--;
        host = cut_before(&authority, "]");
        if (authority.len == 0 || host.len == 0) {
            *why = "an IPv6 address stands in [ and ]";
            return false;
        }
        authority.at++;
        authority.len--;
    } else {
        host = cut_before(&authority, ":");
    }
    if (authority.len > 0) {
        const span digits = {authority.at + 1, authority.len - 1};
        if (authority.at[0] != ':' || !parse_number(digits, 65535, &port) || port == 0) {
            *why = "after the host stands :PORT, 1-65535; a / @ : in a password are written %2F %40 %3A";
            return false;
        }
    }
    out->port = (uint16_t)port;
    if (host.len == 0)
        host = (span){"127.0.0.1", 9};
    if (!decode(env, host, &out->host, why))
        return false;
    for (const char *c = out->host; *c != '\0'; c++)
        if (*c <= 0x20 || *c >= 0x7f || strchr("/?#[]@", *c) != NULL) {
            *why = "the host holds a character that no host has";
            return false;
        }
    return true;
}

static bool parse_tcp(imgq_env *env, span rest, iq_url *out, const char **why)
{
    span authority = cut_before(&rest, "/?#");
    if (!parse_userinfo(env, &authority, out, why) || !parse_host(env, authority, out, why))
        return false;
    if (rest.len > 1 || (rest.len == 1 && rest.at[0] != '/')) {
        const span digits = {rest.at + 1, rest.len - 1};
        if (rest.at[0] != '/' || !parse_number(digits, INT32_MAX, &out->db)) {
            *why = "after the host stands /DATABASE, a number, and nothing else";
            return false;
        }
    }
    return true;
}

static bool parse_unix(imgq_env *env, span rest, iq_url *out, const char **why)
{
    span authority = cut_before(&rest, "/?#");
    if (!parse_userinfo(env, &authority, out, why))
        return false;
    const span path = cut_before(&rest, "?#");
    if (authority.len > 0 || path.len < 2) {
        *why = "a socket's path is absolute: unix:///path";
        return false;
    }
    if (rest.len > 0) {
        const bool is_db = rest.len > 4 && memcmp(rest.at, "?db=", 4) == 0;
        const span digits = is_db ? (span){rest.at + 4, rest.len - 4} : (span){NULL, 0};
        if (!is_db || !parse_number(digits, INT32_MAX, &out->db)) {
            *why = "after the path stands ?db=DATABASE, a number, and nothing else";
            return false;
        }
    }
    if (!decode(env, path, &out->path, why))
        return false;
    if (strlen(out->path) >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
        *why = "the path is longer than the 107 bytes that a Unix socket takes";
        return false;
    }
    return true;
}

/* Copies text, one printable line of it. */
static bool append_printable(imgq_env *env, iq_buf *buf, const char *text)
{
    for (; *text != '\0'; text++) {
        const char c = (unsigned char)*text >= 0x20 && *text != 0x7f ? *text : '?';
        if (!iq_buf_append(env, buf, &c, 1))
            return false;
    }
    return true;
}

static bool describe(imgq_env *env, iq_url *url)
{
    iq_buf where = {0}, shown = {0};
    if (url->path != NULL)
        (void)append_printable(env, &where, url->path);
    else
        (void)iq_buf_append_format(env, &where, strchr(url->host, ':') != NULL ? "[%s]:%u" : "%s:%u", url->host,
                                   (unsigned)url->port);
    (void)iq_buf_append_text(env, &shown, url->path != NULL ? "unix://" : "redis://");
    if (url->user != NULL)
        (void)append_printable(env, &shown, url->user);
    if (url->pass != NULL)
        (void)iq_buf_append_text(env, &shown, ":***");
    if (url->user != NULL || url->pass != NULL)
        (void)iq_buf_append_text(env, &shown, "@");
    if (!where.failed)
        (void)iq_buf_append_text(env, &shown, (const char *)where.data);
    if (url->db > 0)
        (void)iq_buf_append_format(env, &shown, url->path != NULL ? "?db=%" PRIu32 : "/%" PRIu32, url->db);
    url->where = (char *)where.data;
    url->shown = (char *)shown.data;
    return !where.failed && !shown.failed;
}

static imgq_status unknown_scheme(imgq_error *err, const char *text, span scheme)
{
    static const char *const not_built_in[] = {"rediss", "redis+sentinel", "redis-sentinel", "redis+cluster",
                                               "valkeys"};
    for (size_t i = 0; i < sizeof not_built_in / sizeof *not_built_in; i++)
        if (strlen(not_built_in[i]) == scheme.len && strncasecmp(scheme.at, not_built_in[i], scheme.len) == 0)
            return iq_fail(err, IMGQ_E_UNSUPPORTED, 0, "%s:// is not built in, redis:// and unix:// are",
                           not_built_in[i]);
    return bad(err, text, "it begins with redis:// or unix://");
}

imgq_status iq_url_parse(imgq_env *env, const char *text, iq_url *out, imgq_error *err)
{
    *out = (iq_url){0};
    const char *scheme_end = text != NULL ? strstr(text, "://") : NULL;
    if (text == NULL || scheme_end == NULL)
        return bad(err, text != NULL ? text : "", "it begins with redis:// or unix://");
    if (strnlen(text, IQ_URL_MAX_BYTES + 1) > IQ_URL_MAX_BYTES)
        return bad(err, text, "it is longer than 8192 bytes");
    const span scheme = {text, (size_t)(scheme_end - text)};
    const span rest = {scheme_end + 3, strlen(scheme_end + 3)};
    const char *why = NULL;
    bool ok;
    if ((scheme.len == 5 && strncasecmp(scheme.at, "redis", 5) == 0) ||
        (scheme.len == 6 && strncasecmp(scheme.at, "valkey", 6) == 0))
        ok = parse_tcp(env, rest, out, &why);
    else if (scheme.len == 4 && strncasecmp(scheme.at, "unix", 4) == 0)
        ok = parse_unix(env, rest, out, &why);
    else
        return unknown_scheme(err, text, scheme);
    ok = ok && describe(env, out);
    if (ok)
        return IMGQ_OK;
    iq_url_release(env, out);
    return why != NULL ? bad(err, text, why) : iq_fail_nomem(err, rest.len);
}

imgq_status iq_url_copy(imgq_env *env, const iq_url *url, iq_url *out, imgq_error *err)
{
    *out = (iq_url){.db = url->db, .port = url->port};
    char *const from[] = {url->host, url->path, url->user, url->pass, url->where, url->shown};
    char **const to[] = {&out->host, &out->path, &out->user, &out->pass, &out->where, &out->shown};
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        *to[i] = iq_strdup(env, from[i]);
        if (*to[i] == NULL && from[i] != NULL) {
            iq_url_release(env, out);
            return iq_fail_nomem(err, strlen(from[i]) + 1);
        }
    }
    return IMGQ_OK;
}

void iq_url_release(imgq_env *env, iq_url *url)
{
    if (url->pass != NULL)
        explicit_bzero(url->pass, strlen(url->pass));
    char *const owned[] = {url->host, url->path, url->user, url->pass, url->where, url->shown};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        iq_free(env, owned[i]);
    *url = (iq_url){0};
}
