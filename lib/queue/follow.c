#include "queue/follow.h"

#include "base/alloc.h"
#include "base/id.h"

#include <string.h>

enum { FIRST_BUCKETS = 64 };

static uint64_t hash_of(const iq_follows *follows, const char *id, size_t len)
{
    uint64_t hash = 14695981039346656037u ^ follows->seed;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)id[i]) * 1099511628211u;
    return hash ^ (hash >> 32);
}

static iq_follow **bucket_of(const iq_follows *follows, const char *id, size_t len)
{
    return &follows->buckets[hash_of(follows, id, len) & (follows->bucket_count - 1)];
}

iq_follow *iq_follows_find(const iq_follows *follows, const char *id, size_t id_len)
{
    if (follows->count == 0 || id_len > IQ_ID_MAX)
        return NULL;
    iq_follow *follow = *bucket_of(follows, id, id_len);
    while (follow != NULL && (strncmp(follow->id.text, id, id_len) != 0 || follow->id.text[id_len] != '\0'))
        follow = follow->bucket_next;
    return follow;
}

static bool grow(iq_follows *follows)
{
    const size_t old_count = follows->bucket_count;
    const size_t new_count = old_count == 0 ? FIRST_BUCKETS : old_count * 2;
    iq_follow **old = follows->buckets;
    iq_follow **buckets = iq_alloc_array(follows->env, new_count, sizeof(iq_follow *));
    if (buckets == NULL)
        return false;
    follows->buckets = buckets;
    follows->bucket_count = new_count;
    for (size_t i = 0; i < old_count; i++) {
        for (iq_follow *follow = old[i], *next; follow != NULL; follow = next) {
            next = follow->bucket_next;
            iq_follow **bucket = bucket_of(follows, follow->id.text, strlen(follow->id.text));
            follow->bucket_next = *bucket;
            *bucket = follow;
        }
    }
    iq_free(follows->env, old);
    return true;
}

iq_follow *iq_follows_add(iq_follows *follows, const imgq_id *id)
{
    const size_t len = strnlen(id->text, IQ_ID_MAX);
    iq_follow *follow = iq_follows_find(follows, id->text, len);
    if (follow != NULL)
        return follow;
    /* A table that cannot grow only gets slower; the first one has to be there. */
    if (follows->count >= follows->bucket_count && !grow(follows) && follows->bucket_count == 0)
        return NULL;
    follow = iq_alloc_array(follows->env, 1, sizeof *follow);
    if (follow == NULL)
        return NULL;
    memcpy(follow->id.text, id->text, len);
    iq_follow **bucket = bucket_of(follows, follow->id.text, len);
    follow->bucket_next = *bucket;
    *bucket = follow;
    follows->count++;
    return follow;
}

static bool is_asked(iq_follow_list list)
{
    return list == IQ_FOLLOW_YOUNG || list == IQ_FOLLOW_OLD;
}

static void unlink_from_list(iq_follows *follows, iq_follow *follow)
{
    const iq_follow_list list = follow->list;
    if (list == IQ_FOLLOW_NONE)
        return;
    if (follow->prev != NULL)
        follow->prev->next = follow->next;
    else
        follows->first[list] = follow->next;
    if (follow->next != NULL)
        follow->next->prev = follow->prev;
    else
        follows->last[list] = follow->prev;
    follow->prev = follow->next = NULL;
    follow->list = IQ_FOLLOW_NONE;
    follows->asked -= is_asked(list);
}

void iq_follows_move(iq_follows *follows, iq_follow *follow, iq_follow_list list)
{
    unlink_from_list(follows, follow);
    if (list == IQ_FOLLOW_NONE)
        return;
    follow->list = list;
    follow->prev = follows->last[list];
    if (follow->prev != NULL)
        follow->prev->next = follow;
    else
        follows->first[list] = follow;
    follows->last[list] = follow;
    follows->asked += is_asked(list);
}

void iq_follows_hurry(iq_follows *follows, iq_follow *follow)
{
    unlink_from_list(follows, follow);
    follow->list = IQ_FOLLOW_YOUNG;
    follow->heard_ns = 0;
    follow->next = follows->first[IQ_FOLLOW_YOUNG];
    if (follow->next != NULL)
        follow->next->prev = follow;
    else
        follows->last[IQ_FOLLOW_YOUNG] = follow;
    follows->first[IQ_FOLLOW_YOUNG] = follow;
    follows->asked++;
}

void iq_follows_remove(iq_follows *follows, iq_follow *follow)
{
    iq_follow **link = bucket_of(follows, follow->id.text, strlen(follow->id.text));
    while (*link != follow)
        link = &(*link)->bucket_next;
    *link = follow->bucket_next;
    unlink_from_list(follows, follow);
    follows->count--;
    follows->sending -= follow->sending > 0;
    imgq_result_destroy(follow->result);
    iq_submission_free(follows->env, follow->kept);
    iq_free(follows->env, follow);
}

void iq_follows_release(iq_follows *follows)
{
    for (size_t i = 0; i < follows->bucket_count; i++) {
        while (follows->buckets[i] != NULL)
            iq_follows_remove(follows, follows->buckets[i]);
    }
    iq_free(follows->env, follows->buckets);
    follows->buckets = NULL;
    follows->bucket_count = 0;
}
