require_relative "publishing"

# What handlers report, as in role/reporter.ts, from several threads.
class Reporter
  # Runs between two stamps.
  STAMP_EVERY = 50
  # Seconds between two writes while handlers run.
  FLUSH = 0.01

  def initialize(folder)
    @file = File.open(File.join(folder, Process.pid.to_s), "a")
    @lock = Mutex.new
    @runs = ConditionVariable.new
    @count = 0
    @written = 0
    @lines = +""
    Thread.new { loop { flush } }
  end

  def ran(line = nil)
    @lock.synchronize do
      @lines << line if line
      @count += 1
      @lines << "#{@count} #{Publishing.wall}\n" if @count % STAMP_EVERY == 1
      # An idle worker must be idle: the thread waits for the first run after its last look.
      @runs.signal if @count == @written + 1
    end
  end

  def started(latency)
    ran(format("latency %.3f\n", latency))
  end

  private

  def flush
    @lock.synchronize { @runs.wait(@lock) while @count == @written }
    sleep(FLUSH)
    @lock.synchronize do
      @file.syswrite("#{@lines}#{@count} #{Publishing.wall}\n")
      @lines = +""
      @written = @count
    end
  end
end

# The handlers of role/handlers.ts that these contestants need.
class Handlers
  def initialize(folder)
    @reporter = Reporter.new(folder)
  end

  def noop(_data)
    @reporter.ran
  end

  def stamp(data)
    @reporter.started(Publishing.wall - data["at"])
  end
end
