-- Transitions: the only ways from one state to another.

-- From index `from`, or from none, to waiting; keeps the place that seq gives.
local function into_waiting(id, key, h, from)
    h.st, h.at = 'W', now
    call('ZADD', P .. 'w', int_text(score(h)), id)
    if has(h.fl, FLAG_DEADLINE) then
        call('ZADD', P .. 'dl', int_text(h.deadline), id)
    end
    write_head(key, h)
    drop(from, id)
    if has(h.fl, FLAG_COMPAT) then
        add('cw', 1)
    end
    tokens = 1
end

local function into_delayed(id, key, h, from, due)
    h.st, h.at = 'D', now
    call('ZADD', P .. 'd', int_text(due), id)
    if has(h.fl, FLAG_DEADLINE) then
        call('ZADD', P .. 'dl', int_text(h.deadline), id)
    end
    write_head(key, h)
    drop(from, id)
    tokens = 1
end

-- Dead letters over a cap lose their payload, oldest first, at most 16 a call; header, options and error stay as a
-- tombstone.
local pushed_out = 0
local function push_out_dead()
    read_fields({ 'dc' })
    local cap = floor(m.xb / 20)
    local excess = call('ZCARD', P .. 'x') - m.dc
    if excess <= 0 and m.xby <= cap then
        return
    end
    for _, id in ipairs(call('ZRANGE', P .. 'x', 0, 15)) do
        if (excess <= 0 and m.xby <= cap) or pushed_out >= 16 then
            break
        end
        pushed_out = pushed_out + 1
        local h, key = look(id)
        if h and h.st == 'F' and not has(h.fl2, FLAG2_PUSHED_OUT) then
            h.fl2 = h.fl2 + FLAG2_PUSHED_OUT
            call('SET', key, encode(h) .. options(key, h) .. (call('HGET', P .. 'er', id) or ''), 'PX', int_text(m.it))
            add('xby', -h.len)
        end
        call('HDEL', P .. 'er', id)
        call('ZREM', P .. 'x', id)
        excess = excess - 1
    end
end

-- The only way into succeeded, dead, cancelled or expired. `from`: the index that still holds the id; s: as options().
local function finish(id, key, h, letter, body, ttl, from, s)
    local was = h.st
    h.st, h.at = letter, now
    if letter == 'F' then
        body = sub(body, 1, 512)
        call('ZADD', P .. 'x', int_text(now), id)
        write_head(key, h)
        call('HSET', P .. 'er', id, body)
        add('xby', h.len)
    else
        local x = options(key, h, s)
        if h.fails + h.crashes > 0 then
            call('HDEL', P .. 'er', id)
        end
        call('SET', key, encode(h) .. x .. body, 'PX', int_text(ttl))
    end
    drop(from, id)
    if has(h.fl, FLAG_DEADLINE) then
        drop('dl', id)
    end
    add('n', -1)
    add('b', -h.len)
    if was == 'W' and has(h.fl, FLAG_COMPAT) then
        add('cw', -1)
    end
    note(h.rid, id, letter, h.err, body)
    if has(h.fl, FLAG_ATTACHED) then
        for _, rid in ipairs(call('SMEMBERS', P .. 'at:' .. id)) do
            note(rid, id, letter, h.err, body)
        end
        call('DEL', P .. 'at:' .. id)
    end
    if letter == 'F' then
        push_out_dead()
    end
end

local function expire(id, key, h, from, text)
    if h.err == 0 then
        h.err = E_TIMEOUT
    end
    count('c.expired')
    finish(id, key, h, 'E', text or '', m.it, from)
end

local function bury(id, key, h, from, text)
    count('c.dead')
    finish(id, key, h, 'F', text, 0, from)
end

-- An index entry without a readable record. Whatever stands at its key is nobody's: it goes too.
local function lost(index, id, key)
    drop(index, id)
    if index == 'dl' then
        return
    end
    count('c.lost')
    call('HDEL', P .. 'er', id)
    call('UNLINK', key)
    if index ~= 'x' then
        add('b', -floor(m.b / max(1, m.n)))
        add('n', -1)
    end
end

-- An index entry whose record does not belong there: it moves to where the record's letter says.
local function put_right(index, id, key, h, why)
    if not h then
        if why == 'none' then
            lost(index, id, key)
        elseif index == 'w' then
            call('ZADD', P .. 'w', int_text(PARKED), id)
            count('c.version')
        else
            call('ZADD', P .. index, int_text(now + 60000), id) -- looked at again in a minute
        end
        return
    end
    local home = INDEX[h.st]
    if h.st == 'N' then -- a submit was cut; its producer may try again
        call('PEXPIRE', key, 60000)
    end
    if has(h.fl2, FLAG2_PUSHED_OUT) and h.st == 'F' then
        home = nil
    elseif not home and not string.find('SXEN', h.st, 1, true) then
        lost(index, id, key)
        return
    end
    if home and home ~= index then
        local at = now
        if home == 'w' then
            at = score(h)
        elseif home == 'a' then
            at = now + 30000
        end
        call('ZADD', P .. home, 'NX', int_text(at), id)
    end
    if home ~= index then
        drop(index, id)
    end
    count('c.moved')
end
