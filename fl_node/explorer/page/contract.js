/** The committed contract, as its code's hash. */

/** keccak256 of the code at the contract's address (contracts/TrainingLedger.json). */
export const CODE_HASH = "c71a16cb8d9d72ba2063c8bc5d580359e67cb81d1255545ddfc2c0b5eac39e66";
