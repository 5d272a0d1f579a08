#!lua flags=allow-oom
-- The reference wire's answer: a plain SET, which the server would refuse at maxmemory. Stands alone, without common/*.lua.
-- KEYS[1]: the uuid. ARGV: text, ttl
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
