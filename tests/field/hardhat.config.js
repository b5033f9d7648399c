// For `hardhat node`, which the tests start as a chain: no project belongs to it.
const seconds = Number(process.env.BLOCK_SECONDS || 0);
module.exports = {
  solidity: "0.8.24",
  networks: {
    hardhat: { chainId: 31337, mining: seconds ? { auto: false, interval: 1000 * seconds } : { auto: true } },
  },
};
