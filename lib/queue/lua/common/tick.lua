-- The tick: what is due is done by whoever calls (docs/protocol.md, section 8).

-- n is what the indexes hold; b and the others can only be known where there is nothing.
local function recount()
    local waiting = call('ZCARD', P .. 'w')
    local n = waiting + call('ZCARD', P .. 'd') + call('ZCARD', P .. 'a')
    if n ~= m.n then
        set('n', n)
    end
    if n == 0 and m.b ~= 0 then
        set('b', 0)
    end
    if waiting == 0 and m.cw ~= 0 then
        set('cw', 0)
    end
    if m.xby ~= 0 and call('ZCARD', P .. 'x') == 0 then
        set('xby', 0)
    end
end

-- Everything that is due, at most `most` of each kind; true if there may be more. Its parts are made only here.
local function do_what_is_due(most)
    local function tick_delayed(limit)
        local ids = call('ZRANGEBYSCORE', P .. 'd', '-inf', int_text(now), 'LIMIT', 0, limit)
        for _, id in ipairs(ids) do
            local h, key, why = look(id)
            if h and h.st == 'D' then
                into_waiting(id, key, h, 'd')
            else
                put_right('d', id, key, h, why)
            end
        end
        return #ids == limit
    end

    local function reap(id, key, h)
        count('c.reaped')
        h.crashes = min(h.crashes + 1, 65535)
        h.err = E_LOST
        if h.crashes >= h.max_crashes then
            bury(id, key, h, 'a', 'lease lost')
        elseif is_late(h, now) then
            expire(id, key, h, 'a')
        else
            into_waiting(id, key, h, 'a')
        end
    end

    local function tick_leases(limit)
        -- Leases that a clock step has put beyond any lease's length.
        local far = call('ZRANGEBYSCORE', P .. 'a', '(' .. int_text(now + LEASE_MAX), '+inf', 'LIMIT', 0, limit)
        for _, id in ipairs(far) do
            call('ZADD', P .. 'a', int_text(now + LEASE_MAX), id)
        end
        if now < m.gr then
            return #far == limit
        end
        local ids = call('ZRANGEBYSCORE', P .. 'a', '-inf', int_text(now), 'LIMIT', 0, limit)
        for _, id in ipairs(ids) do
            local h, key, why = look(id)
            if h and h.st == 'A' then
                reap(id, key, h)
            else
                put_right('a', id, key, h, why)
            end
        end
        return #ids == limit or #far == limit
    end

    local function tick_deadlines(limit)
        local ids = call('ZRANGEBYSCORE', P .. 'dl', '-inf', int_text(now), 'LIMIT', 0, limit)
        for _, id in ipairs(ids) do
            local h, key, why = look(id)
            if not h then
                put_right('dl', id, key, h, why)
            elseif (h.st == 'W' or h.st == 'D') and is_late(h, now) then
                expire(id, key, h, INDEX[h.st])
                drop('dl', id)
            else
                drop('dl', id)
            end
        end
        return #ids == limit
    end

    -- Dead letters past their time, and a walk over a few others: an entry of `x` may be what a cut requeue left.
    local function tick_dead(limit)
        read_fields({ 'dt', 'xc' })
        local ids = call('ZRANGEBYSCORE', P .. 'x', '-inf', int_text(now - m.dt), 'LIMIT', 0, limit)
        for _, id in ipairs(ids) do
            local h, key, why = look(id)
            if h and h.st == 'F' and not has(h.fl2, FLAG2_PUSHED_OUT) then
                call('HDEL', P .. 'er', id)
                call('UNLINK', key)
                drop('x', id)
                add('xby', -h.len)
            else
                put_right('x', id, key, h, why)
            end
        end
        if #ids > 0 then
            return #ids == limit
        end
        local some = call('ZRANGE', P .. 'x', int_text(m.xc), int_text(m.xc + 7))
        for _, id in ipairs(some) do
            local h, key, why = look(id)
            if not h or h.st ~= 'F' or has(h.fl2, FLAG2_PUSHED_OUT) then
                put_right('x', id, key, h, why)
            end
        end
        local at = #some == 8 and m.xc + 8 or 0
        if at ~= m.xc then
            set('xc', at)
        end
        return false
    end

    -- yyyymmdd of a day counted from 1970-01-01 (proleptic Gregorian, eras of 400 years from 0000-03-01).
    local function date_of(day)
        local z = day + 719468
        local era = floor(z / 146097)
        local doe = z - era * 146097
        local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
        local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
        local mp = floor((5 * doy + 2) / 153)
        local month = mp < 10 and mp + 3 or mp - 9
        local year = yoe + era * 400 + (month <= 2 and 1 or 0)
        return string.format('%04d%02d%02d', year, month, doy - floor((153 * mp + 2) / 5) + 1)
    end

    local COUNTERS = { 'c.sub', 'c.imp', 'c.del', 'c.done', 'c.fail', 'c.dead', 'c.cancel', 'c.expired', 'c.stale',
        'c.reaped', 'c.lost', 'c.version', 'c.grace', 'c.moved', 'c.mute' }

    -- Once a second: how fast jobs end, workers that have been silent for an hour, the day's first counters.
    local function tick_second()
        read_fields({ 'rw', 'rc', 'dy' })
        if now >= m.rw and now - m.rw < 1000 then
            return false
        end
        local ended = 0
        for _, n in ipairs(call('HMGET', M, 'c.done', 'c.dead', 'c.cancel', 'c.expired')) do
            ended = ended + (tonumber(n or nil) or 0)
        end
        if m.rw > 0 and now > m.rw then
            local rate = max(0, ended - m.rc) * 1000000 / (now - m.rw) -- per 1000 s
            set('dr', floor(0.7 * m.dr + 0.3 * rate))
        end
        set('rw', now)
        set('rc', ended)
        local silent = call('ZRANGEBYSCORE', P .. 'wr', '-inf', int_text(now - 3600000), 'LIMIT', 0, 32)
        if #silent > 0 then
            call('HDEL', P .. 'wl', unpack(silent))
            call('HDEL', P .. 'wi', unpack(silent))
            call('ZREM', P .. 'wr', unpack(silent))
        end
        local day = floor(now / 86400000)
        if day ~= m.dy then
            set('dy', day)
            local key, fields = P .. 'sd:' .. date_of(day), {}
            for i, n in ipairs(call('HMGET', M, unpack(COUNTERS))) do
                fields[#fields + 1] = COUNTERS[i]
                fields[#fields + 1] = n or '0'
            end
            call('HSET', key, unpack(fields))
            call('EXPIRE', key, 3024000)
        end
        return #silent == 32
    end

    local more = tick_delayed(min(most, 64))
    more = tick_leases(min(most, 32)) or more
    more = tick_deadlines(min(most, 32)) or more
    more = tick_dead(min(most, 16)) or more
    return tick_second() or more
end

-- At most every 250 ms. most: at most so many of each kind (submit, pause).
local function tick(most)
    local gap = now - m.tk
    if gap < 0 then -- the clock stepped back: a grace that it granted before does not stay
        set('tk', now)
        set('gr', min(m.gr, now + 10000))
        return
    end
    if gap < 250 then
        return
    end
    if m.tk > 0 and gap > 5000 and now >= m.gr + 20000 then -- an outage, a pause or a clock step
        set('gr', now + 10000)
        count('c.grace')
    end
    set('tk', now)
    local more = do_what_is_due(most or 64)
    sweep()
    recount()
    if more then
        set('tk', now - 250)
    end
end
