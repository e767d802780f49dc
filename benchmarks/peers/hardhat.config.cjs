// hardhat's own network with its defaults: a block for every transaction.
module.exports = { networks: { hardhat: {} } }
