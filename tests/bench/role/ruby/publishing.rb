# The ways in which tasks are published, as in role/publishing.ts; callers are threads.
module Publishing
  # Around the text in `{"at":1764000000000.123,"text":""}`.
  ENVELOPE = 36

  module_function

  # Milliseconds since the epoch, on the clock that role/wall.ts reads.
  def wall
    Process.clock_gettime(Process::CLOCK_REALTIME, :float_millisecond)
  end

  # Carries out an order.
  def publish(publisher, order)
    text = text_of(order[:bytes] - ENVELOPE)
    handler = order[:handler]
    data = -> { { at: wall, text: text } }
    one = lambda do
      publisher.publish(handler, data.call)
      1
    end
    batch = lambda do
      publisher.publish_many(handler, Array.new(order[:size]) { data.call })
      order[:size]
    end
    case order[:how]
    when "callers" then timed(order[:callers], order, one)
    when "batches" then timed(1, order, batch)
    when "load" then load(order, batch)
    when "rate" then at_rate(order, one)
    else raise ArgumentError, "publishing by #{order[:how]} is not written for Ruby"
    end
  end

  # Counts what is done within the time. A caller that is busy when it ends is not counted.
  def timed(callers, order, act)
    act.call # Connects.
    start = wall + order[:warmMs]
    finish = start + order[:ms]
    ended = Array.new(callers) { Thread.new { call_until(start, finish, act) } }.map(&:value)
    count = ended.sum(&:first)
    last = ended.map(&:last).max
    { count: count, ms: count.zero? ? order[:ms] : [last - start, order[:ms] / 2.0].max }
  end

  # How many were done from start to finish, and when the last was.
  def call_until(start, finish, act)
    count = 0
    last = start
    loop do
      done = act.call
      now = wall
      return [count, last] if now > finish
      next if now < start

      count += done
      last = now
    end
  end

  def load(order, batch)
    start = wall
    left = order[:count]
    left -= batch.call while left.positive?
    { count: order[:count], ms: wall - start }
  end

  def at_rate(order, act)
    start = wall
    order[:count].times do |i|
      wait = start + i * 1000.0 / order[:perSecond] - wall
      sleep(wait / 1000) if wait.positive?
      act.call
    end
    { count: order[:count], ms: wall - start }
  end

  # The text of role/publishing.ts.
  def text_of(length)
    letters = [*"A".."Z", *"a".."z", *"0".."9", "+", "-"]
    seed = 1
    Array.new(length) { letters[(seed = seed * 48_271 % 2_147_483_647) % 64] }.join
  end
end
