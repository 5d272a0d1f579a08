/* The jobs that a handle follows: found by id, ordered by when they were last heard of. Not locked: the inbox does. */
#ifndef IQ_QUEUE_FOLLOW_H
#define IQ_QUEUE_FOLLOW_H

#include <imgq/queue.h>

#include "queue/submission.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum iq_follow_list {
    IQ_FOLLOW_NONE,  /* its submission is under way, or its outcome is not known */
    IQ_FOLLOW_YOUNG, /* accepted less than 30 s ago: asked for every 2 s. By heard_ns */
    IQ_FOLLOW_OLD,   /* asked for every 10 s. By heard_ns */
    IQ_FOLLOW_READY, /* ended, not handed out yet. By the order of ending */
    IQ_FOLLOW_LISTS
} iq_follow_list;

typedef struct iq_follow iq_follow;
struct iq_follow {
    iq_follow *bucket_next, *prev, *next;
    iq_follow_list list;
    imgq_id id;
    uint32_t sending; /* submissions of this id under way in this handle */
    bool accepted;    /* Redis has it */
    bool forgotten;   /* nobody wants it any more: goes when sending is 0 */
    int64_t accepted_ns, heard_ns;
    imgq_result *result; /* owned; of READY */
    iq_submission *kept; /* owned; with keep_payload: what to submit again */
};

typedef struct iq_follows {
    imgq_env *env; /* borrowed */
    iq_follow **buckets;
    size_t bucket_count, count;
    uint64_t seed;
    iq_follow *first[IQ_FOLLOW_LISTS], *last[IQ_FOLLOW_LISTS];
    size_t sending, asked; /* how many have submissions under way; how many are YOUNG or OLD */
} iq_follows;

/** NULL if it is not followed. */
iq_follow *iq_follows_find(const iq_follows *follows, const char *id, size_t id_len);
/** Find or add. @return NULL when memory ran out */
iq_follow *iq_follows_add(iq_follows *follows, const imgq_id *id);
/** Frees follow, its result and what it kept. */
void iq_follows_remove(iq_follows *follows, iq_follow *follow);
/** To the end of that list; out of the one where it is. */
void iq_follows_move(iq_follows *follows, iq_follow *follow, iq_follow_list list);
/** To the head of YOUNG, as not heard of for ever: the next to be asked for. */
void iq_follows_hurry(iq_follows *follows, iq_follow *follow);
void iq_follows_release(iq_follows *follows);

#endif
