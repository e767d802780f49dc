// What the scripts of this folder share: the scenario on the command line, one JSON line per step on standard output.

export const scenario = JSON.parse(process.argv[2])

export const report = (step, values) => process.stdout.write(JSON.stringify({ step, ...values }, jsonValue) + '\n')

// Runs a step and reports its result; an exception of the client ends the script with status 1.
export const step = async (name, work) => {
  try {
    const result = await work()
    report(name, result)
    return result
  } catch (error) {
    console.error(`${name}: ${error.stack ?? error}`)
    process.exit(1)
  }
}

function jsonValue(_, value) {
  return typeof value === 'bigint' ? value.toString() : value
}
